import type { Random } from "@sse/hub/test/random.ts";

/** What a body has to lead to, when all of it arrives as it is. */
export type Verdict = "taken" | "refused" | "either";

export interface Body {
  readonly what: string;
  readonly type: string;
  readonly bytes: Buffer;
  /** Events that carry the marker; Infinity where nobody knows. */
  readonly events: number;
  readonly verdict: Verdict;
}

/** What comes out as a header or an event of its own where somebody forgot to look for line ends. */
export const INJECTION = "a\r\nx-injected: 1\r\n\r\nevent: injected\ndata: 1\n\nid: 1";

const MIB = 1024 * 1024;
const JSON_TYPE = "application/json";
const NDJSON = "application/x-ndjson";

export function body(
  what: string,
  verdict: Verdict,
  text: string | Uint8Array,
  events: number,
  type = JSON_TYPE,
): Body {
  return { what, verdict, bytes: Buffer.from(text as string), events, type };
}

/** One of several texts, with `|` between them. */
export function oneOf(random: Random, texts: string): string {
  return random.pick(texts.split("|"));
}

type Event = Record<string, unknown>;

function drawEvent(random: Random, topic: string, marker: string): Event {
  const data = random.pick<unknown>([
    marker,
    `${marker} ${"x".repeat(random.below(3000))}`,
    `${marker}\r\n\n\r${INJECTION}`,
    `\ufeff${marker}\u0000\ud800😀`,
    { marker, n: random.next(), list: [1, null, [true]] },
    [marker, -0, 1e300],
  ]);
  const event: Event = { topic, data };
  if (random.chance(0.3)) event["event"] = oneOf(random, "add|message|a:b|é");
  if (random.chance(0.3)) event["key"] = `k${random.below(20)}`;
  if (random.chance(0.2)) event["id"] = `${marker}${random.below(1e6)}`;
  if (random.chance(0.05)) event["end"] = true;
  return event;
}

const FORBIDDEN = "a topic that only admins may publish to";
/** Each makes one event into one that has to be refused. */
const WRONG: Readonly<Record<string, (event: Event) => unknown>> = {
  "a field that is none": (event) => ({ ...event, retry: 1 }),
  "a misspelt field": ({ topic, ...event }) => ({ ...event, topics: topic }),
  "no topic": (event) => ({ ...event, topic: undefined }),
  "a pattern for a topic": (event) => ({ ...event, topic: "fuzz/*" }),
  "a topic with a space": (event) => ({ ...event, topic: "fuzz/a b" }),
  "a topic with a line end": (event) => ({ ...event, topic: `fuzz/${INJECTION}` }),
  "an empty topic": (event) => ({ ...event, topic: "" }),
  "a topic that is too long": (event) => ({ ...event, topic: `fuzz/${"é".repeat(510)}` }),
  "a topic that is a list": (event) => ({ ...event, topic: [event["topic"]] }),
  "a topic that is an object": (event) => ({ ...event, topic: { toString: event["topic"], length: 4 } }),
  "a type of the hub's own": (event) => ({ ...event, event: "sse:closing" }),
  "a type with line ends": (event) => ({ ...event, event: INJECTION }),
  "a type that is a number": (event) => ({ ...event, event: 1 }),
  "an id with NUL": (event) => ({ ...event, id: "a\0b" }),
  "an id with a line end": (event) => ({ ...event, id: "a\rb" }),
  "a key with a line end": (event) => ({ ...event, key: "a\nb" }),
  "an end that is text": (event) => ({ ...event, end: "true" }),
  "no data": ({ topic }) => ({ topic }),
  "data that is too large": (event) => ({ ...event, data: "x".repeat(MIB + 1) }),
  "a list in place of an event": (event) => [event],
  "null in place of an event": () => null,
  [FORBIDDEN]: (event) => ({ ...event, topic: "secret/b" }),
};

/** Each breaks the text of JSON. */
const BROKEN: Readonly<Record<string, (json: string, random: Random) => string>> = {
  "JSON that is cut off": (json, random) => json.slice(0, 1 + random.below(json.length - 1)),
  "JSON with more after it": (json) => `${json}]`,
  "JSON with a comma too many": (json) => json.replace(/\}$/, ",}"),
  "JSON after a byte order mark": (json) => `\ufeff${json}`,
  "JSON in single quotes": (json) => json.replaceAll('"', "'"),
  "two events that are no list": (json) => `${json}${json}`,
  "a line end in a string": (json) => json.replace('"topic"', '"to\npic"'),
  "nothing at all": () => "",
};

/** The beginning, and so much of the rest that a body is nearly as large as it may be. */
function fill(beginning: string, rest: string): string {
  return beginning + rest.repeat(Math.floor((4 * MIB - beginning.length - 8) / rest.length));
}

function listOf(count: number, marker: string, topic: (at: number) => string): string {
  return JSON.stringify(Array.from({ length: count }, (_, at) => ({ topic: topic(at), data: marker })));
}

/** The data in a list, and more of it to come. */
const inList = (start: string): string => `${start.replace('"data":"', '"data":["')}",`;

type Bomb = readonly [
  Verdict,
  events: number,
  text: (topic: string, marker: string, start: string) => string,
  type?: string,
];

/** What is made to hold the loop or to fill memory. `start` is an event whose data has no end yet. */
const BOMBS: Readonly<Record<string, Bomb>> = {
  "168,000 events in lines": [
    "refused",
    1,
    (_, _m, start) => fill(`${start}"}\n`, `{"topic":"a"}\n`),
    NDJSON,
  ],
  "4 MiB of empty lines": ["taken", 1, (_, _m, start) => fill(`${start}"}\n`, "\n"), NDJSON],
  "a list of zeros": ["refused", 0, () => `${fill("[0", ",0")}]`],
  "a list of empty lists": ["refused", 0, () => `${fill("[[]", ",[]")}]`],
  "a list of empty objects": ["refused", 0, () => `${fill("[{}", ",{}")}]`],
  "2,001 events": ["refused", 2_001, (topic, marker) => listOf(2_001, marker, () => topic)],
  "2,000 events": ["either", 2_000, (topic, marker) => listOf(2_000, marker, () => topic)],
  "2,000 topics": ["either", 2_000, (topic, marker) => listOf(2_000, marker, (at) => `${topic}/${at}`)],
  "3,900 long topics": [
    "either",
    3900,
    (topic, marker) => listOf(3900, marker, (at) => `${topic}/${at}`.padEnd(999, "/x")),
  ],
  "lists in lists": ["refused", 1, (_, _m, start) => fill(inList(start), "[")],
  "objects in objects": ["refused", 0, () => fill("", '{"a":')],
  "lists in lists, not too deep": [
    "either",
    1,
    (_, _m, start) => `${inList(start)}${"[".repeat(9e3)}${"]".repeat(9e3)}]}`,
  ],
  "lines of lists in lists": ["refused", 0, () => fill("", `${"[".repeat(9999)}\n`), NDJSON],
  "a string of escapes": ["taken", 1, (_, _m, start) => `${fill(start, "\\u0000")}"}`],
  "a string without an end": ["refused", 1, (_, _m, start) => fill(start, "[{\\")],
  "a million line ends": ["refused", 1, (_, _m, start) => `${start}${"\\n".repeat(MIB - 200)}"}`],
  "80,000 fields": [
    "refused",
    1,
    (_, _m, start) => `${start}"${Array.from({ length: 80_000 }, (_f, at) => `,"f${at}":0`).join("")}}`,
  ],
  "a field of 4 MiB": ["refused", 1, (_, _m, start) => `${fill(`${start}","`, "a")}":1}`],
  "a topic of 4 MiB": ["refused", 1, (_, _m, start) => `${fill(`${start}","topic":"fuzz`, "/*")}"}`],
  "one byte more than a body may have": ["refused", 1, (_, _m, start) => `${start}"}`.padEnd(4 * MIB + 1)],
  "as many bytes as a body may have, nearly": [
    "taken",
    1,
    (_, _m, start) => `${start}"}`.padEnd(4 * MIB - 9),
  ],
  "as much data as an event may have": [
    "taken",
    1,
    (_, marker, start) => `${start}${"x".repeat(MIB - marker.length)}"}`,
  ],
};

export function drawBomb(random: Random, topic: string, marker: string): Body {
  const what = random.pick(Object.keys(BOMBS));
  const [verdict, events, text, type] = BOMBS[what]!;
  return body(what, verdict, text(topic, marker, `{"topic":"${topic}","data":"${marker}`), events, type);
}

/** A body for `POST /publish`, in JSON or lines of JSON. */
export function drawJsonBody(random: Random, topic: string, marker: string, isAdmin: boolean): Body {
  const draw = (): Event => drawEvent(random, topic, marker);
  const kind = random.next();
  if (kind < 0.35) return body("an event", "taken", JSON.stringify(draw()), 1);
  const events = Array.from({ length: 1 + random.below(11) }, draw);
  const count = events.length;
  if (kind < 0.5) return body(`a list of ${count}`, "taken", JSON.stringify(events), count);
  if (kind < 0.65) return body(`${count} lines`, "taken", linesOf(events, random), count, NDJSON);
  if (kind < 0.85) {
    const what = random.pick(Object.keys(WRONG));
    const wrong = WRONG[what]!(draw());
    const verdict = isAdmin && what === FORBIDDEN ? "either" : "refused";
    const where = random.below(3);
    if (where === 0 && !Array.isArray(wrong)) return body(what, verdict, JSON.stringify(wrong), 1);
    const all = events.toSpliced(random.below(count + 1), 0, wrong as Event);
    if (where === 1) return body(`${what}, in a list`, verdict, JSON.stringify(all), count + 1);
    return body(`${what}, in lines`, verdict, linesOf(all, random), count + 1, NDJSON);
  }
  if (kind < 0.93) {
    const what = random.pick(Object.keys(BROKEN));
    return body(what, "refused", BROKEN[what]!(JSON.stringify(draw()), random), 1);
  }
  const bytes = Buffer.from(JSON.stringify(kind < 0.96 ? draw() : events));
  for (let left = 1 + random.below(3); left > 0; left--)
    bytes[random.below(bytes.length)] = random.below(256);
  return body("an event with other bytes in it", "either", bytes, Infinity);
}

function linesOf(events: readonly unknown[], random: Random): string {
  const end = oneOf(random, "\n|\r\n|\n\n| \n");
  return events.map((event) => JSON.stringify(event) + end).join("");
}
