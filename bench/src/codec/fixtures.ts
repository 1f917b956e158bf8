/**
 * The streams that the codec benchmark decodes: one for each shape of traffic that costs time in a place of its own. Seeded, so that
 * every run and every variant works on the same bytes.
 */
export interface Fixture {
  readonly name: string;
  readonly chunks: readonly Uint8Array[];
  /** What a correct decoder delivers. */
  readonly events: number;
}

/** A message as both encoders under test take it. */
export interface Message {
  data: string;
  event?: string;
  id?: string;
}

type Random = () => number;

const WORDS = "the stream of tokens that a model writes one after the other, ever so quickly".split(" ");
const MULTI_BYTE_WORDS = ["цена", "изменилась", "価格", "変更", "prix", "élevé", "😀", "🚀", "naïve", "über"];

const encoder = new TextEncoder();

/** mulberry32: small, and the same numbers on every engine. */
function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function integer(random: Random, from: number, to: number): number {
  return from + Math.floor(random() * (to - from + 1));
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[integer(random, 0, values.length - 1)] as T;
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function words(random: Random, count: number, vocabulary: readonly string[] = WORDS): string {
  return times(count, () => pick(random, vocabulary)).join(" ");
}

function tokenDelta(random: Random): string {
  return JSON.stringify({ choices: [{ index: 0, delta: { content: ` ${pick(random, WORDS)}` } }] });
}

function tick(random: Random, index: number): string {
  const price = integer(random, 10_000, 99_999) / 100;
  const volume = integer(random, 1, 5000);
  return JSON.stringify({ symbol: pick(random, ["ACME", "INIT", "GLOB"]), price, volume, sequence: index });
}

/** In chunks of `size()` bytes, as a network would cut them: anywhere. */
function cut(texts: readonly string[], size: () => number): Uint8Array[] {
  const bytes = encoder.encode(texts.join(""));
  const chunks: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + size());
    chunks.push(bytes.slice(start, end));
    start = end;
  }
  return chunks;
}

/** One chunk for each, as a server writes them. */
function apart(texts: readonly string[]): Uint8Array[] {
  return texts.map((text) => encoder.encode(text));
}

function ticks(random: Random, count: number): string[] {
  return times(count, (index) => `data: ${tick(random, index)}\n\n`);
}

interface Shape {
  readonly name: string;
  readonly events: number;
  readonly chunks: (random: Random) => Uint8Array[];
}

const SHAPES: readonly Shape[] = [
  {
    name: "small tokens",
    events: 1000,
    chunks: (random) => apart(times(1000, () => `data: ${tokenDelta(random)}\n\n`)),
  },
  { name: "JSON ticks", events: 1000, chunks: (random) => apart(ticks(random, 1000)) },
  {
    // As after a pause, or from a server that batches.
    name: "JSON ticks, batched",
    events: 2000,
    chunks: (random) => cut(ticks(random, 2000), () => 16_384),
  },
  {
    name: "named with ids",
    events: 1000,
    chunks: (random) =>
      apart(
        times(
          1000,
          (index) =>
            `event: ${pick(random, ["price", "trade"])}\ndata: ${tick(random, index)}\nid: ${index}\n\n`,
        ),
      ),
  },
  {
    name: "multi-byte text",
    events: 1000,
    chunks: (random) => apart(times(1000, () => `data: ${words(random, 12, MULTI_BYTE_WORDS)}\n\n`)),
  },
  {
    name: "multi-line data",
    events: 10,
    chunks: (random) =>
      cut(
        times(10, () => `${times(400, () => `data: ${words(random, 12)}\n`).join("")}\n`),
        () => 65_536,
      ),
  },
  {
    name: "heartbeats",
    events: 200,
    chunks: (random) =>
      apart(times(1000, (index) => (index % 5 === 4 ? `data: ${tick(random, index)}\n\n` : ":\n"))),
  },
  {
    name: "CRLF lines",
    events: 1000,
    chunks: (random) =>
      cut(
        times(1000, (index) => `event: price\r\ndata: ${tick(random, index)}\r\n\r\n`),
        () => 4096,
      ),
  },
  {
    name: "tiny chunks",
    events: 200,
    chunks: (random) =>
      cut(
        times(200, () => `data: ${tokenDelta(random)}\n\n`),
        () => integer(random, 1, 8),
      ),
  },
  {
    name: "huge line",
    events: 1,
    chunks: (random) => cut([`data: ${words(random, 400_000)}\n\n`], () => 16_384),
  },
  {
    // In the smallest pieces that a network may cut.
    name: "huge line, dripped",
    events: 1,
    chunks: (random) => cut([`data: ${words(random, 40_000)}\n\n`], () => 4),
  },
];

/** The streams to decode. The same seed gives the same bytes. */
export function decodeFixtures(seed = 1): Fixture[] {
  return SHAPES.map(({ name, events, chunks }, index) => ({
    name,
    events,
    chunks: chunks(seeded(seed + index)),
  }));
}

export interface EncodeFixture {
  readonly name: string;
  readonly messages: readonly Message[];
}

/** The messages to encode. The same seed gives the same messages. */
export function encodeFixtures(seed = 1): EncodeFixture[] {
  const random = seeded(seed);
  return [
    { name: "small tokens", messages: times(1000, () => ({ data: tokenDelta(random) })) },
    {
      name: "named with ids",
      messages: times(1000, (index) => ({ event: "price", id: `${index}`, data: tick(random, index) })),
    },
    { name: "multi-byte text", messages: times(1000, () => ({ data: words(random, 12, MULTI_BYTE_WORDS) })) },
    {
      name: "multi-line data",
      messages: times(50, () => ({ data: times(100, () => words(random, 12)).join("\n") })),
    },
    {
      name: "CRLF data",
      messages: times(50, () => ({ data: times(100, () => words(random, 12)).join("\r\n") })),
    },
    { name: "large JSON", messages: times(50, () => ({ data: JSON.stringify(words(random, 4000)) })) },
  ];
}
