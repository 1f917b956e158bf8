/**
 * The streams that the codec benchmark decodes: one for each shape of traffic that costs time in a place of its own. Seeded, so that
 * every run and every variant works on the same bytes.
 */
export interface Fixture {
  readonly name: string;
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
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

/** Chunks of `size()` bytes, as a network would cut them: anywhere. */
function cut(text: string, size: () => number): Uint8Array[] {
  const bytes = encoder.encode(text);
  const chunks: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = Math.min(bytes.length, start + size());
    chunks.push(bytes.slice(start, end));
    start = end;
  }
  return chunks;
}

function fixture(name: string, events: number, chunks: Uint8Array[]): Fixture {
  return { name, events, chunks, bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0) };
}

/** One chunk per event, as a server writes them. */
function eventPerChunk(name: string, texts: string[]): Fixture {
  return fixture(
    name,
    texts.length,
    texts.map((text) => encoder.encode(text)),
  );
}

function smallTokens(random: Random): Fixture {
  return eventPerChunk(
    "small tokens",
    times(1000, () => `data: ${tokenDelta(random)}\n\n`),
  );
}

function jsonTicks(random: Random): Fixture {
  return eventPerChunk(
    "JSON ticks",
    times(1000, (index) => `data: ${tick(random, index)}\n\n`),
  );
}

/** As after a pause, or from a server that batches. */
function batchedTicks(random: Random): Fixture {
  const text = times(2000, (index) => `data: ${tick(random, index)}\n\n`).join("");
  return fixture(
    "JSON ticks, batched",
    2000,
    cut(text, () => 16_384),
  );
}

function namedWithIds(random: Random): Fixture {
  return eventPerChunk(
    "named with ids",
    times(
      1000,
      (index) => `event: ${pick(random, ["price", "trade"])}\ndata: ${tick(random, index)}\nid: ${index}\n\n`,
    ),
  );
}

function multiByte(random: Random): Fixture {
  return eventPerChunk(
    "multi-byte text",
    times(1000, () => `data: ${words(random, 12, MULTI_BYTE_WORDS)}\n\n`),
  );
}

function multiLine(random: Random): Fixture {
  const event = () => `${times(400, () => `data: ${words(random, 12)}\n`).join("")}\n`;
  const text = times(10, event).join("");
  return fixture(
    "multi-line data",
    10,
    cut(text, () => 65_536),
  );
}

function heartbeats(random: Random): Fixture {
  const texts = times(1000, (index) => (index % 5 === 4 ? `data: ${tick(random, index)}\n\n` : ":\n"));
  return fixture(
    "heartbeats",
    200,
    texts.map((text) => encoder.encode(text)),
  );
}

function crlfLines(random: Random): Fixture {
  const text = times(1000, (index) => `event: price\r\ndata: ${tick(random, index)}\r\n\r\n`).join("");
  return fixture(
    "CRLF lines",
    1000,
    cut(text, () => 4096),
  );
}

function tinyChunks(random: Random): Fixture {
  const text = times(200, () => `data: ${tokenDelta(random)}\n\n`).join("");
  return fixture(
    "tiny chunks",
    200,
    cut(text, () => integer(random, 1, 8)),
  );
}

function hugeLine(random: Random): Fixture {
  const text = `data: ${words(random, 400_000)}\n\n`;
  return fixture(
    "huge line",
    1,
    cut(text, () => 16_384),
  );
}

/** A line that comes in the smallest pieces a network may cut. */
function drippedLine(random: Random): Fixture {
  const text = `data: ${words(random, 40_000)}\n\n`;
  return fixture(
    "huge line, dripped",
    1,
    cut(text, () => 4),
  );
}

const SHAPES = [
  smallTokens,
  jsonTicks,
  batchedTicks,
  namedWithIds,
  multiByte,
  multiLine,
  heartbeats,
  crlfLines,
  tinyChunks,
  hugeLine,
  drippedLine,
];

/** The streams to decode. The same seed gives the same bytes. */
export function decodeFixtures(seed = 1): Fixture[] {
  return SHAPES.map((shape, index) => shape(seeded(seed + index)));
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
