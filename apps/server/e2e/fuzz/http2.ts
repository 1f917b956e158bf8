import type { Random } from "@sse/hub/test/random.ts";
import {
  ACK,
  block,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  GOAWAY,
  HEADERS,
  PING,
  PREFACE,
  prefixed,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from "../http2-client.ts";
import { oneOf } from "./bodies.ts";
import type { Case, Exchange } from "./case.ts";
import { Http2Answers } from "./http2-answers.ts";
import { type Asked, drawRequest } from "./requests.ts";
import { drawDelivery, drawNoise, type Ending, Wire } from "./wire.ts";

/** One thing to be written: bytes that no window bounds, or data that waits until the server has room for it. */
interface Step {
  readonly stream: number;
  readonly bytes: Buffer;
  /** In place of bytes. */
  readonly data?: { readonly isEnd: boolean; readonly padding: number };
  readonly pause?: number;
}

const PADDED = 0x8;
const FRAME_BYTES = 16_384;
/** How long it is waited for room, in milliseconds: a server that was abused need not give any. */
const ROOM_WAIT = 1000;
/** Of a body that trickles, frames that are waited after. */
const SLOW_FRAMES = 100;
const number = (value: number, bytes = 4): Buffer => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
};
const setting = (id: number, value: number): Buffer => Buffer.concat([number(id, 2), number(value)]);
const many = (count: number, make: (at: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));

type Fields = (readonly [string, string])[];

function fieldsOf({ method, target, headers }: Asked): Fields {
  return [
    [":method", method],
    [":scheme", "https"],
    [":path", target],
    [":authority", "localhost"],
    ...headers,
  ];
}

/** A request in frames. */
function stepsOf(random: Random, stream: number, asked: Asked, fields: Fields, ends = true): Step[] {
  const packed = block(fields);
  const body = asked.body ?? Buffer.alloc(0);
  const isEnd = ends && body.length === 0 && random.chance(0.8);
  const parts = random.chance(0.2) ? 1 + random.below(5) : 1;
  const size = Math.min(Math.ceil(packed.length / parts), FRAME_BYTES);
  const heads: Buffer[] = [];
  for (let at = 0; at === 0 || at < packed.length; at += size) {
    const flags = (at === 0 && isEnd ? END_STREAM : 0) | (at + size >= packed.length ? END_HEADERS : 0);
    heads.push(frame(at === 0 ? HEADERS : CONTINUATION, flags, stream, packed.subarray(at, at + size)));
  }
  const steps: Step[] = [{ stream, bytes: Buffer.concat(heads) }];
  if (isEnd) return steps;
  const most =
    body.length > 100_000
      ? FRAME_BYTES
      : Math.max(random.pick([1, 50, 1000, FRAME_BYTES]), Math.ceil(body.length / 2000));
  const isSlow = body.length > 0 && body.length < 5000 && random.chance(0.1);
  for (let at = 0; at < body.length; at += most) {
    const to = Math.min(at + most, body.length);
    const data = {
      isEnd: ends && to === body.length && !random.chance(0.1),
      padding: random.chance(0.05) ? random.below(256) : 0,
    };
    steps.push({
      stream,
      bytes: body.subarray(at, to),
      data,
      ...(isSlow && at < SLOW_FRAMES * most && { pause: 1 + random.below(20) }),
    });
  }
  if (ends && steps.at(-1)!.data?.isEnd !== true)
    steps.push({ stream, bytes: Buffer.alloc(0), data: { isEnd: true, padding: 0 } });
  return steps;
}

type FieldsMutation = (fields: Fields, random: Random) => void;
const pushed =
  (texts: string): FieldsMutation =>
  (fields, random) => {
    const [name = "", value = ""] = oneOf(random, texts).split("=");
    fields.push([name, value]);
  };
const replaced =
  (at: number, name: string, texts: string): FieldsMutation =>
  (fields, random) =>
    void (fields[at] = [name, oneOf(random, texts)]);

/** What is wrong with the fields of one request. */
const FIELDS: Readonly<Record<string, FieldsMutation>> = {
  "a pseudo field missing": (fields, random) => void fields.splice(random.below(4), 1),
  "a pseudo field twice": (fields, random) => void fields.splice(1, 0, fields[random.below(4)]!),
  "a pseudo field last": (fields) => void fields.push(fields.shift()!),
  "a pseudo field of others": (fields, random) =>
    void fields.unshift([oneOf(random, ":status|:protocol|:"), "200"]),
  "a field of a connection": pushed(
    "connection=close|transfer-encoding=chunked|te=gzip|upgrade=h2c|host=evil.example",
  ),
  "an odd field": pushed("X-A=b|x-a=a\0b|x-a=a\r\nx-b: c|=x|a b=x|a\r\nb=x|a:b=x|é=x"),
  "a length that is another": pushed(
    "content-length=0|content-length=1|content-length=99999|content-length=-1|content-length=x",
  ),
  "an odd path": replaced(
    2,
    ":path",
    `|*|events|http://evil.example/events|/\0|/a b|/\r\n|/${"a".repeat(20_000)}`,
  ),
  "an odd method": replaced(0, ":method", `|get|CONNECT|PRI|A B|${"X".repeat(3000)}`),
  "an odd authority": replaced(3, ":authority", "|evil.example|a b|localhost:99999|a@b"),
  "large fields": (fields, random) =>
    void fields.push(
      ...Array.from(
        { length: random.pick([1, 10, 100]) },
        () => ["x-a", "a".repeat(random.pick([1000, 16_000]))] as const,
      ),
    ),
  "many fields": (fields, random) =>
    void fields.push(...Array.from({ length: random.pick([101, 5000]) }, () => ["x", ""] as const)),
};

const PACKED_ODDLY: readonly ((random: Random) => Buffer)[] = [
  (random) => drawNoise(random, 200),
  (random) => prefixed(0x80, 7, random.pick([0, 62, 100, 2 ** 31])),
  () => Buffer.from("80ffffffffffffffffffffff", "hex"),
  () => prefixed(0x20, 5, 2 ** 30),
  () => Buffer.concat([Buffer.of(0), prefixed(0, 7, 1000), Buffer.from("a")]),
  () => Buffer.from("00016183ffffff", "hex"),
];
const WHOLE = END_STREAM | END_HEADERS;
const GET = block([[":method", "GET"]]);
const requestFor = (target: string): Buffer =>
  block([
    [":method", "GET"],
    [":scheme", "https"],
    [":path", target],
    [":authority", "localhost"],
  ]);

/** What is wrong with the frames of a connection. @param last the highest stream that is in use */
const HOSTILE: Readonly<Record<string, (random: Random, last: number) => Buffer>> = {
  "a frame of noise": (random, last) =>
    frame(
      random.below(256),
      random.below(256),
      random.pick([0, 1, last, last + 2, 2, 0x7fffffff]),
      drawNoise(random, 300),
    ),
  noise: (random) => drawNoise(random, 3000),
  "a length that is too large": (random) =>
    Buffer.concat([
      number(random.pick([16_385, 0xffffff]), 3),
      number(random.below(10), 1),
      number(0, 1),
      number(1),
      drawNoise(random, 2000),
    ]),
  "another preface": (random) =>
    Buffer.from(random.pick([PREFACE, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"])),
  pings: (random) =>
    many(random.pick([1, 20_000]), () => frame(PING, random.pick([0, ACK]), 0, Buffer.alloc(8))),
  "a ping of another length": (random) => frame(PING, 0, random.pick([0, 1]), Buffer.alloc(random.below(20))),
  "a flood of settings": (random) =>
    many(random.pick([100, 5000]), (at) => frame(SETTINGS, 0, 0, setting(random.pick([3, 4]), at))),
  "odd settings": (random) =>
    frame(
      SETTINGS,
      0,
      random.pick([0, 0, 0, 1]),
      setting(
        random.pick([2, 3, 4, 5, 6, 8, 99]),
        random.pick([0, 2, 1, 0x7fffffff, 0x80000000, 0xffffffff]),
      ),
    ),
  "settings of another length": (random) =>
    frame(SETTINGS, random.pick([0, ACK]), 0, Buffer.alloc(random.pick([1, 5, 7]))),
  "no window": () => frame(SETTINGS, 0, 0, setting(4, 0)),
  "an odd window": (random, last) =>
    many(random.pick([1, 2]), () =>
      frame(WINDOW_UPDATE, 0, random.pick([0, last]), number(random.pick([0, 0x7fffffff, 0xffffffff]))),
    ),
  "a flood of windows": (_, last) =>
    many(20_000, (at) => frame(WINDOW_UPDATE, 0, at % 2 === 0 ? 0 : last, number(1))),
  "data for no stream": (random, last) => frame(DATA, 0, random.pick([0, 2, last + 2]), Buffer.from("x")),
  "data without end": (_, last) => many(500, () => frame(DATA, 0, last, Buffer.alloc(FRAME_BYTES))),
  "a flood of empty data": (_, last) => many(20_000, () => frame(DATA, 0, last)),
  "padding that is too long": (random, last) =>
    frame(random.pick([DATA, HEADERS]), PADDED | END_HEADERS, last, Buffer.from([255, 1, 2])),
  "a goaway": (random) =>
    frame(GOAWAY, 0, 0, Buffer.concat([number(random.below(9)), number(0), drawNoise(random, 50)])),
  "a promise": (_, last) => frame(PUSH_PROMISE, END_HEADERS, last, Buffer.concat([number(2), GET])),
  "an odd priority": (random, last) =>
    frame(PRIORITY, 0, last, Buffer.concat([number(last), Buffer.alloc(random.below(3))])),
  "a reset of nothing": (random, last) => frame(RST_STREAM, 0, random.pick([0, last + 2, 2]), number(0)),
  "a continuation of nothing": (_, last) => frame(CONTINUATION, END_HEADERS, last, GET),
  "a flood of continuations": (random, last) =>
    Buffer.concat([
      frame(HEADERS, END_STREAM, last + 2, GET),
      many(random.pick([50, 10_000]), () =>
        frame(CONTINUATION, 0, last + 2, random.pick([Buffer.alloc(0), GET])),
      ),
    ]),
  "a frame within headers": (_, last) =>
    Buffer.concat([frame(HEADERS, 0, last + 2, GET), frame(PING, 0, 0, Buffer.alloc(8))]),
  "fields that are packed oddly": (random, last) =>
    frame(HEADERS, WHOLE, last + 2, random.pick(PACKED_ODDLY)(random)),
  "a bomb of fields": (_, last) =>
    frame(
      HEADERS,
      WHOLE,
      last + 2,
      Buffer.concat([
        Buffer.of(0x40, 1, 0x61),
        prefixed(0, 7, 3900),
        Buffer.alloc(3900, 0x61),
        Buffer.alloc(12_000, 0xbe),
      ]),
    ),
  "rapid resets": (random, last) => {
    const request = requestFor(oneOf(random, "/events?topic=fuzz/a|/healthz|/"));
    return many(1000, (at) =>
      Buffer.concat([
        frame(HEADERS, WHOLE, last + 2 * at + 2, request),
        frame(RST_STREAM, 0, last + 2 * at + 2, number(8)),
      ]),
    );
  },
  "a thousand streams": (random, last) => {
    const request = requestFor(oneOf(random, "/events?topic=fuzz/a|/random"));
    return many(1000, (at) => frame(HEADERS, WHOLE, last + 2 * at + 2, request));
  },
  "streams that are out of turn": (random, last) =>
    many(2, () => frame(HEADERS, WHOLE, random.pick([last, 1, 2]), GET)),
};

/** What a client says first: no table of fields to remember, and room for what comes. */
const HELLO = Buffer.concat([
  Buffer.from(PREFACE),
  frame(SETTINGS, 0, 0, Buffer.concat([setting(1, 0), setting(4, 8_000_000)])),
  frame(WINDOW_UPDATE, 0, 0, number(2 ** 30)),
]);

/** One connection with some requests, whose frames come one between the others. */
export function drawCase2(random: Random, subject: string): Case {
  const count = random.pick([1, 2, 5, 20]);
  const isHostile = random.chance(0.4);
  const hostile = isHostile ? random.some(Object.keys(HOSTILE), 2) : [];
  const ending: Ending = random.pick(["close", "reset", "half-close"]);
  const queues: Step[][] = [];
  const exchanges: Exchange[] = [];
  for (let index = 0; index < count; index++) {
    const asked = drawRequest(random, subject, index);
    const stream = 2 * index + 1;
    const fields = fieldsOf(asked).map(
      ([name, value]) => [name, Buffer.from(value).toString("latin1")] as const,
    );
    const shape = random.next();
    let [trust, what]: [Exchange["trust"], string] = isHostile ? ["mutated", ""] : ["whole", ""];
    if (shape < 0.15) {
      what = random.pick(Object.keys(FIELDS));
      FIELDS[what]!(fields, random);
      trust = "mutated";
    } else if (asked.body !== null && shape < 0.2) [trust, what] = ["cut off", "all but the end"];
    else if (asked.body !== null && shape < 0.25) [trust, what] = ["cut off", "a part, and a reset,"];
    else if (random.chance(0.3) && asked.body !== null)
      fields.push(["content-length", `${asked.body.length}`]);
    const steps = stepsOf(random, stream, asked, fields, trust !== "cut off");
    if (what.includes("reset"))
      steps.push({ stream, bytes: frame(RST_STREAM, 0, stream, number(random.pick([0, 8, 99]))) });
    queues.push(steps);
    exchanges.push({
      asked: [asked],
      trust,
      what: [what, ...hostile].filter((name) => name !== "").join(", "),
    });
  }
  const steps = interleave(random, queues);
  for (const name of hostile)
    steps.splice(random.below(steps.length + 1), 0, {
      stream: 0,
      bytes: HOSTILE[name]!(random, 2 * count - 1),
    });
  const hello = drawDelivery(random, HELLO.length);
  const hold = random.pick([0, 20, 300, 1500]);
  return {
    exchanges,
    bytes: steps.reduce((sum, { bytes }) => sum + bytes.length, 0),
    play: async ({ port, answered }) => {
      const answers = new Http2Answers();
      using wire = await Wire.open(port, true, (bytes) => answers.feed(bytes, wire));
      await wire.writeSplit(HELLO, hello);
      for (const { stream, bytes, data, pause = 0 } of steps) {
        if (wire.isClosed) break;
        if (data === undefined) wire.write(bytes);
        else await writeData(wire, answers, stream, bytes, data);
        if (pause > 0) await Bun.sleep(pause);
      }
      const due = exchanges.flatMap(({ trust }, at) => (trust === "whole" ? [2 * at + 1] : []));
      const got = await wire.until(
        () => due.every((stream) => answers.isAnswered(stream)),
        isHostile ? hold : 60_000,
      );
      if (hold > 0) await wire.until(() => false, Math.min(hold, 300));
      wire.end(ending);
      for (const [at, exchange] of exchanges.entries()) {
        const stream = 2 * at + 1;
        const answer = answers.of(stream);
        const isTimeout =
          !isHostile && !got && !wire.isClosed && exchange.trust === "whole" && answer === undefined;
        answered(exchange, answer === undefined ? [] : [answer], {
          isTimeout,
          isClosed: answer !== undefined,
        });
      }
    },
  };
}

/** Waits until the server has room for it; what the server has answered already, or reset, needs no more. */
async function writeData(
  wire: Wire,
  answers: Http2Answers,
  stream: number,
  bytes: Buffer,
  { isEnd, padding }: NonNullable<Step["data"]>,
): Promise<void> {
  const length = bytes.length + (padding > 0 ? padding + 1 : 0);
  if (
    !(await wire.until(() => answers.isOver(stream) || answers.room(stream) >= length, ROOM_WAIT)) ||
    answers.isOver(stream)
  )
    return;
  answers.use(stream, length);
  const payload = padding > 0 ? Buffer.concat([Buffer.of(padding), bytes, Buffer.alloc(padding)]) : bytes;
  wire.write(frame(DATA, (isEnd ? END_STREAM : 0) | (padding > 0 ? PADDED : 0), stream, payload));
}

/** In any order, but for the steps of one stream, which stay in theirs; streams are opened in turn. */
function interleave(random: Random, queues: Step[][]): Step[] {
  const steps: Step[] = [];
  const open: Step[][] = [];
  const waiting = [...queues];
  while (open.length > 0 || waiting.length > 0) {
    if (open.length === 0 || (waiting.length > 0 && random.chance(0.3))) open.push(waiting.shift()!);
    const queue = random.pick(open);
    for (let run = 1 + random.below(20); run > 0 && queue.length > 0; run--) steps.push(queue.shift()!);
    if (queue.length === 0) open.splice(open.indexOf(queue), 1);
  }
  return steps;
}
