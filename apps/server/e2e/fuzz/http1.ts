import type { Random } from "@sse/hub/test/random.ts";
import { type Asked, drawRequest } from "./requests.ts";
import { oneOf } from "./bodies.ts";
import { type Answer, drawDelivery, drawNoise, type Ending, Wire } from "./wire.ts";
import type { Case, Exchange } from "./case.ts";

/** A message before it is bytes; a part of it may have been made wrong. */
interface Message {
  start: string;
  /** Header lines, the framing of the body among them. */
  lines: string[];
  body: Buffer;
  end: string;
}

const CRLF = "\r\n";
const LAST_CHUNK = Buffer.from(`0${CRLF}${CRLF}`);

function drawChunks(random: Random, body: Buffer): Buffer {
  const parts: Buffer[] = [];
  const most = random.pick([1, 7, 1000, 1e6, 1e7]);
  for (let at = 0; at < body.length;) {
    const size = Math.min(body.length - at, (body.length >> 17) + 1 + random.below(most));
    const digits = random.pick([
      size.toString(16),
      size.toString(16).toUpperCase(),
      `000${size.toString(16)}`,
    ]);
    const extension = random.chance(0.1) ? random.pick([";a", ";a=b"]) : "";
    parts.push(Buffer.from(digits + extension + CRLF), body.subarray(at, at + size), Buffer.from(CRLF));
    at += size;
  }
  return Buffer.concat([...parts, LAST_CHUNK]);
}

function drawMessage(random: Random, asked: Asked): Message {
  const lines = [`Host: localhost`, ...asked.headers.map(([name, value]) => `${name}: ${value}`)];
  let body = asked.body ?? Buffer.alloc(0);
  if (asked.body !== null && random.chance(0.35)) {
    body = drawChunks(random, body);
    lines.push("Transfer-Encoding: chunked");
  } else if (asked.body !== null) lines.push(`Content-Length: ${body.length}`);
  return { start: `${asked.method} ${asked.target} HTTP/1.1`, lines, body, end: CRLF };
}

function encode({ start, lines, body, end }: Message): Buffer {
  return Buffer.concat([Buffer.from([start, ...lines, end].join(end), "latin1"), body]);
}

type Mutation = (message: Message, random: Random) => void;

const isFraming = (line: string): boolean => /^(content-length|transfer-encoding):/i.test(line);
const framed = (message: Message, ...lines: string[]): void => {
  message.lines = [...message.lines.filter((line) => !isFraming(line)), ...lines];
};
/** In place of its framing, one of these, with `¶` between lines. */
const framing =
  (lines: string): Mutation =>
  (message, random) =>
    framed(message, ...oneOf(random, lines).replaceAll("LENGTH", `${message.body.length}`).split("¶"));
/** One chunk, whose beginning, end and first line are these. */
const chunk =
  (lines: string, rest = `${CRLF}0${CRLF}${CRLF}`): Mutation =>
  (message, random) => {
    const [first, last] = [lines, rest].map((each) =>
      oneOf(random, each).replace("LENGTH", message.body.length.toString(16)),
    );
    framed(message, "Transfer-Encoding: chunked");
    message.body = Buffer.concat([Buffer.from(first!), message.body, Buffer.from(last!)]);
  };
const added =
  (texts: string): Mutation =>
  (message, random) =>
    void message.lines.push(...oneOf(random, texts).split("¶"));
const start =
  (texts: string): Mutation =>
  (message, random) => {
    const [method = "", target = ""] = message.start.split(" ");
    message.start = oneOf(random, texts).replace("METHOD", method).replace("TARGET", target);
  };
const END = CRLF + CRLF;

/** What is wrong with the bytes of one message. Afterwards nobody can say what the answer has to be. */
const MUTATIONS: Readonly<Record<string, Mutation>> = {
  "two hosts": added("Host: evil.example"),
  "no host": (message) => void message.lines.shift(),
  "an odd host": (message, random) =>
    void (message.lines[0] = `Host: ${oneOf(random, "|a b|localhost:99999|[::1|evil.example|a/b|\xff|@")}`),
  "two lengths": framing("Content-Length: LENGTH¶Content-Length: 3|Content-Length: 3¶Content-Length: LENGTH"),
  "a length twice": framing("Content-Length: LENGTH¶Content-Length: LENGTH"),
  "an odd length": framing(
    `Content-Length: ${"-1|+1|0x10|1e3|5, 5|18446744073709551617|999999999999|| |5 5|LENGTH0|1".replaceAll("|", "|Content-Length: ")}`,
  ),
  "chunks and a length": (message, random) => {
    chunk(`LENGTH${CRLF}`)(message, random);
    message.lines.splice(
      random.below(9),
      0,
      `Content-Length: ${oneOf(random, `0|5|${message.body.length}`)}`,
    );
  },
  "an odd coding": framing(
    `Transfer-Encoding: ${"identity|gzip, chunked|chunked, chunked|xchunked|chunked\x0b|chunked;q=1|\tchunked|".replaceAll("|", "|Transfer-Encoding: ")}|Transfer-Encoding : chunked`,
  ),
  "an odd chunk": chunk(
    `zz${CRLF}|-1${CRLF}|FFFFFFFFFFFFFFFFF${CRLF}|7fffffffffffffff${CRLF}|${CRLF}|5\n| 5${CRLF}|0x5${CRLF}|5;\0${CRLF}|5;a="b c"${CRLF}|5;${"a".repeat(20_000)}${CRLF}|${"0".repeat(9000)}5${CRLF}|1LENGTH${CRLF}|1${CRLF}`,
  ),
  "no last chunk": chunk(`LENGTH${CRLF}`, CRLF),
  trailers: chunk(
    `LENGTH${CRLF}`,
    `${CRLF}0${CRLF}a: b${END}|${CRLF}0${CRLF}content-length: 5${END}|${CRLF}0${CRLF}${"x".repeat(20_000)}${END}`,
  ),
  "an odd header": added(`x-a: b\r\n c: d|: a|x-a|x a: b|x-a: a\0b|x-a: a\rb|x-a: a\nb|x-a: \x7f\x01`),
  "a large header": added(
    `x-a: ${"a".repeat(8000)}|x-a: ${"a".repeat(16_300)}|x-a: ${"a".repeat(1_000_000)}`,
  ),
  "many headers": added(`${"x:¶".repeat(100)}x:|${"x:¶".repeat(201)}x:|${"xy: a¶".repeat(3000)}x:`),
  "a header twice": (message, random) => void message.lines.push(random.pick(message.lines)),
  "a header that is another's": added(
    "Content-Type: text/plain|Authorization: Bearer x|Connection: close|Expect: 100-continue|Expect: 200-ok",
  ),
  "other line ends": (message, random) => void (message.end = oneOf(random, "\n|\r|\r\r\n")),
  "another version": start(
    `METHOD TARGET ${"HTTP/1.0|HTTP/0.9|HTTP/2.0|HTTP/1.10|http/1.1|HTTP/1.|XTTP/1.1|".replaceAll("|", "|METHOD TARGET ")}`,
  ),
  "another method": start(
    `${"get|PRI|CONNECT|TRACE|HEAD|G\0T|PURGE|QUERY|".replaceAll("|", " TARGET HTTP/1.1|")} TARGET HTTP/1.1|${"X".repeat(5000)} TARGET HTTP/1.1`,
  ),
  "another target": start(
    `METHOD ${`http://localhostTARGET|http://evil.exampleTARGET|//evil.exampleTARGET|*|localhost:80|TARGET#a|/.TARGET|/%2e%2eTARGET|TARGET\0|TARGET\xff|TARGET%| TARGET||\\TARGET|/${"a".repeat(20_000)}`.replaceAll("|", " HTTP/1.1|METHOD ")} HTTP/1.1`,
  ),
  "tabs in the first line": start("METHOD\tTARGET\tHTTP/1.1"),
  "lines before the first": (message, random) =>
    void (message.start = CRLF.repeat(1 + random.below(1000)) + message.start),
  "an upgrade": added(
    "Connection: Upgrade¶Upgrade: websocket¶Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==¶Sec-WebSocket-Version: 13|Connection: Upgrade, HTTP2-Settings¶Upgrade: h2c¶HTTP2-Settings: AAMAAABkAAQAAP__",
  ),
  "a request for a body": (message) => {
    message.body = Buffer.from(`GET /nowhere HTTP/1.1${CRLF}host: a${END}`);
    framed(message, `Content-Length: ${message.body.length}`);
  },
  "noise in the head": (message, random) =>
    void message.lines.push(drawNoise(random, 300).toString("latin1")),
};

/** One connection: so many exchanges one after the other, each of a request or, in a pipeline, several. */
export function drawCase1(random: Random, subject: string): Case {
  const count = random.pick([1, 1, 1, 2, 4, 8]);
  const asked = Array.from({ length: count }, (_, index) => drawRequest(random, subject, index));
  const shape = random.next();
  const ending: Ending = random.pick(["close", "close", "reset", "half-close"]);
  const exchange = (all: Asked[], bytes: Buffer, trust: Exchange["trust"], what = "") => {
    const methods = all.map(({ method }) => method);
    return { asked: all, methods, trust, what, bytes, delivery: drawDelivery(random, bytes.length) };
  };
  const bytesOf = (each: Asked): Buffer => encode(drawMessage(random, each));
  const exchanges: ReturnType<typeof exchange>[] = [];
  if (shape < 0.45) for (const each of asked) exchanges.push(exchange([each], bytesOf(each), "whole"));
  else if (shape < 0.55)
    exchanges.push(exchange(asked, Buffer.concat(asked.map(bytesOf)), count === 1 ? "whole" : "pipeline"));
  else if (shape < 0.7) {
    const bytes = bytesOf(asked[0]!);
    // Bun takes a body for whole when its last chunk has come, but for the empty line after it.
    const least = bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) ? LAST_CHUNK.length : 1;
    const rest = least + random.below(Math.min(bytes.length - least, random.pick([3, 200, 1e7])));
    exchanges.push(
      exchange(
        [asked[0]!],
        bytes.subarray(0, bytes.length - rest),
        "cut off",
        `all but the last ${rest} bytes`,
      ),
    );
  } else {
    const [first, ...others] = asked;
    const message = drawMessage(random, first!);
    const names = random.some(Object.keys(MUTATIONS), random.pick([1, 1, 3]));
    for (const name of names) MUTATIONS[name]!(message, random);
    const bytes = Buffer.concat([encode(message), ...others.map(bytesOf)]);
    const mutated = exchange(asked, bytes, "mutated", names.join(", "));
    mutated.methods[0] = message.start.trimStart().split(/\s/, 1)[0]!;
    exchanges.push(mutated);
  }
  const hold = random.pick([0, 0, 20, 300, 1500]);
  return {
    exchanges,
    bytes: exchanges.reduce((sum, { bytes }) => sum + bytes.length, 0),
    play: async ({ port, answered }) => {
      const reader = new AnswerReader();
      using wire = await Wire.open(port, false, (bytes) => reader.feed(bytes));
      for (const each of exchanges) {
        const before = reader.answers.length;
        reader.methods.push(...each.methods);
        await wire.writeSplit(each.bytes, each.delivery);
        const isOver = (): boolean => reader.answers.length - before >= each.asked.length && reader.isBetween;
        const isCertain = each.trust === "whole";
        const got = await wire.until(isOver, isCertain ? 60_000 : hold);
        if (got && hold > 0 && reader.isStream) await wire.until(() => false, hold);
        if (wire.isClosed) reader.close();
        answered(each, reader.answers.slice(before), {
          isTimeout: isCertain && !got && !wire.isClosed,
          isClosed: wire.isClosed,
        });
        if (wire.isClosed || !got || reader.isStream) break;
      }
      wire.end(ending);
      if (ending === "half-close") await wire.until(() => wire.isClosed, 200);
    },
  };
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** Reads answers as they come. */
export class AnswerReader {
  readonly answers: Answer[] = [];
  /** Of what was asked: an answer to HEAD has no body. */
  readonly methods: string[] = [];
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of the body that are missing; Infinity: up to the end. */
  #missing: number | "chunks" | null = null;

  get isStream(): boolean {
    return (
      this.#missing !== null && this.answers.at(-1)?.headers?.get("content-type") === "text/event-stream"
    );
  }

  /** Nothing of an answer is missing, or it is one that never ends. */
  get isBetween(): boolean {
    return this.#missing === null || this.isStream;
  }

  feed(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (this.#missing === null ? this.#readHead() : this.#readBody());
  }

  /** No more comes. */
  close(): void {
    if (this.#missing === Infinity) this.#finish();
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf(HEAD_END);
    if (end === -1) return false;
    const [first = "", ...lines] = this.#rest.toString("latin1", 0, end).split(CRLF);
    this.#rest = this.#rest.subarray(end + HEAD_END.length);
    const status = Number(/^HTTP\/1\.[01] ([0-9]{3}) /.exec(`${first} `)?.[1] ?? 0);
    if (status >= 100 && status < 200) return true;
    const headers = new Map(
      lines.map((each) => {
        const at = each.indexOf(":");
        return [each.slice(0, at).toLowerCase(), each.slice(at + 1).trim()] as const;
      }),
    );
    const isEmpty = this.methods[this.answers.length] === "HEAD" || status === 204 || status === 304;
    const length = headers.get("content-length");
    this.answers.push({ status, headers, body: "", isWhole: false });
    if (isEmpty) this.#finish();
    else if (headers.get("transfer-encoding") === "chunked") this.#missing = "chunks";
    else this.#missing = length === undefined ? Infinity : Number(length);
    if (this.#missing === 0) this.#finish();
    return true;
  }

  #readBody(): boolean {
    if (this.#missing !== "chunks") return this.#take(this.#missing!, () => this.#finish());
    const end = this.#rest.indexOf(CRLF);
    if (end === -1) return false;
    const size = Number.parseInt(this.#rest.toString("latin1", 0, end), 16);
    if (Number.isNaN(size)) {
      this.#rest = Buffer.alloc(0); // Bun answers what follows a stream's request in the middle of the stream
      return false;
    }
    const whole = end + CRLF.length + size + CRLF.length;
    if (this.#rest.length < whole) return false;
    this.#add(this.#rest.subarray(end + CRLF.length, whole - CRLF.length));
    this.#rest = this.#rest.subarray(whole);
    if (size === 0) this.#finish();
    return true;
  }

  #take(missing: number, then: () => void): boolean {
    const part = this.#rest.subarray(0, Math.min(missing, this.#rest.length));
    this.#add(part);
    this.#rest = this.#rest.subarray(part.length);
    this.#missing = missing - part.length;
    if (this.#missing === 0) then();
    return part.length > 0;
  }

  #add(bytes: Buffer): void {
    this.answers.at(-1)!.body += bytes.toString("latin1");
  }

  #finish(): void {
    this.answers.at(-1)!.isWhole = true;
    this.#missing = null;
  }
}
