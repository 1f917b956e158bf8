import { describe, expect, test } from "bun:test";
import { encodeEvent } from "@sse/protocol";
import { emptyTally, Ledger, type Published } from "./ledger.ts";
import { Pieces } from "./pieces.ts";
import { createMark, HEADER_BYTES, payload, readPayload } from "./payload.ts";
import { ResponseReader } from "./response.ts";
import { SampledReader } from "./sample.ts";
import { Scanner } from "./scanner.ts";

/* What a stream was given is told from its bytes, however they are cut and framed, by both readers alike. */

const MARK = "~t3st~";
const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

interface Sent {
  number: number;
  channel?: number;
  bytes?: number;
  /** Spoils the payload. */
  corrupt?: boolean;
}

function stream(events: readonly Sent[]): string {
  return events
    .map(({ number, channel = 0, bytes = 64, corrupt = false }, index) => {
      const data = payload(MARK, channel, number, 1_700_000_000_000_000, bytes);
      const spoilt = corrupt ? `${data.slice(0, 12)}x${data.slice(13)}` : data;
      // Beside payloads: a comment, an event of somebody else, another run's, and tildes that begin nothing.
      const noise =
        index % 3 === 0 ? `: ~t3s ~~t3st\n\ndata: ~t3s\n\ndata: ${payload("~0the~", 0, 9, 1, 64)}\n\n` : "";
      return noise + encodeEvent({ id: `epoch-${index}`, data: spoilt });
    })
    .join("");
}

/** A body in chunks of these sizes, over and over. */
function chunked(body: string, sizes: readonly number[]): string {
  let text = "";
  for (let at = 0, turn = 0; at < body.length; turn++) {
    const piece = body.slice(at, at + sizes[turn % sizes.length]!);
    text += `${piece.length.toString(16)}${turn % 2 === 0 ? "" : ";ext=1"}\r\n${piece}\r\n`;
    at += piece.length;
  }
  return `${HEAD}transfer-encoding: chunked\r\n\r\n${text}0\r\nTrailer: x\r\n\r\n`;
}

const FRAMINGS: readonly [string, (body: string) => string][] = [
  ["that ends with the connection", (body) => `${HEAD}\r\n${body}`],
  ["of a known length", (body) => `${HEAD}content-length: ${body.length}\r\n\r\n${body}`],
  ["in chunks", (body) => chunked(body, [7, 100, 1, 4096])],
];

function read(
  wire: string,
  pieces: (bytes: Buffer) => Buffer[],
  kind: "scanner" | "decoder",
  channels = 1,
  shared = new Pieces(),
) {
  const ledger = new Ledger(0, channels);
  const tally = emptyTally();
  const found = {
    record: (channel: number, number: number) => ledger.record(channel, number),
    corrupt: () => void tally.corrupt++,
    idOutOfOrder: () => void tally.idsOutOfOrder++,
    event: () => {},
  };
  const reader =
    kind === "scanner" ? new Scanner(Buffer.from(MARK), found, shared) : new SampledReader(MARK, found);
  const response = new ResponseReader({
    head: () => {},
    body: (bytes, start, end) => reader.scan(bytes, start, end),
    end: () => {},
  });
  // Sockets use their buffers again: what is kept has to be a copy.
  for (const piece of pieces(Buffer.from(wire))) {
    const bytes = Buffer.from(piece);
    response.feed(bytes);
    bytes.fill(0x7e);
  }
  const { received, duplicated, outOfOrder, foreign } = ledger;
  return { ledger, tally: { ...tally, received, duplicated, outOfOrder, foreign } };
}

function cutInto(size: number): (bytes: Buffer) => Buffer[] {
  return (bytes) =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    );
}

function published(...counts: number[]): Published {
  return { counts: Uint32Array.from(counts), excused: new Set() };
}

const ordered = Array.from({ length: 12 }, (_, number) => ({ number, bytes: number % 2 === 0 ? 64 : 300 }));

describe.each(["scanner", "decoder"] as const)("the %s", (kind) => {
  test.each(FRAMINGS)("finds every event of a body %s, cut anywhere", (_, frame) => {
    const wire = frame(stream(ordered));
    for (const size of [1, 2, 3, 5, 17, 63, 64, 1000, wire.length]) {
      const { ledger, tally } = read(wire, cutInto(size), kind);
      expect(tally).toEqual({ ...emptyTally(), received: 12 });
      expect(ledger.lost(published(12))).toBe(0);
    }
    for (let at = 0; at < wire.length; at++) {
      const { tally } = read(wire, (bytes) => [bytes.subarray(0, at), bytes.subarray(at)], kind);
      expect(tally.received).toBe(12);
    }
  });

  test("tells lost, doubled, late, foreign and corrupt events apart", () => {
    const events: Sent[] = [0, 1, 4, 3, 4, 5, 5].map((number) => ({ number }));
    events.push(
      { number: 0, channel: 1 },
      { number: 0, channel: 7 },
      { number: 6, corrupt: true },
      { number: 7 },
    );
    for (const size of [1, 40, 64, 5000]) {
      const { ledger, tally } = read(chunked(stream(events), [50]), cutInto(size), kind, 2);
      // 2 never came; 3 came after 4; 4 and 5 came twice; channel 7 is not this stream's; 6 was spoilt, so it is lost as well.
      expect(tally).toMatchObject({ duplicated: 2, outOfOrder: 1, foreign: 1 });
      expect(tally.corrupt).toBe(1);
      expect(ledger.lost(published(9, 1))).toBe(3);
      expect(ledger.lost({ ...published(9, 1), excused: new Set([2, 8]) })).toBe(1);
    }
  });
});

test("streams that are given the same are told apart from one that is given less, in whatever order they read", () => {
  const numbers = Array.from({ length: 40 }, (_, number) => ({ number }));
  const wire = chunked(stream(numbers), [333]);
  const without = chunked(stream(numbers.filter(({ number }) => number !== 20)), [333]);
  const shared = new Pieces();
  const whole = { ...emptyTally(), received: 40 };
  for (const size of [wire.length, 500, wire.length, 333, 500]) {
    expect(read(wire, cutInto(size), "scanner", 1, shared).tally).toEqual(whole);
    const { ledger, tally } = read(without, cutInto(size), "scanner", 1, shared);
    expect([tally.received, ledger.lost(published(40))]).toEqual([39, 1]);
  }
});

test("what was spoilt is found in every stream that is given it", () => {
  const wire = chunked(stream([{ number: 0 }, { number: 1, corrupt: true }, { number: 2 }]), [4096]);
  const shared = new Pieces();
  for (let turn = 0; turn < 3; turn++) {
    const { tally } = read(wire, cutInto(wire.length), "scanner", 1, shared);
    expect(tally).toMatchObject({ received: 2, corrupt: 1 });
  }
});

test("the decoder finds a filler that is not the one that was sent, and ids that do not ascend", () => {
  const data = payload(MARK, 0, 0, 1, 64);
  const spoilt = encodeEvent({ id: "a-1", data: data.slice(0, -1) });
  expect(read(`${HEAD}\r\n${spoilt}`, cutInto(9), "decoder").tally.corrupt).toBe(1);
  const events = [5, 6, 6, 4].map((id, number) =>
    encodeEvent({ id: `a-${id}`, data: payload(MARK, 0, number, 1, 64) }),
  );
  expect(read(`${HEAD}\r\n${events.join("")}`, cutInto(9), "decoder").tally).toMatchObject({
    idsOutOfOrder: 1,
  });
});

test("a payload is found inside of JSON", () => {
  const data = JSON.stringify({ topic: "x", data: payload(MARK, 0, 0, 1, 64) });
  for (const kind of ["scanner", "decoder"] as const) {
    expect(read(`${HEAD}\r\ndata: ${data}\n\n`, cutInto(11), kind).tally).toMatchObject({
      received: 1,
      corrupt: 0,
    });
  }
});

test("payloads have their length, and survive JSON unchanged", () => {
  for (const bytes of [HEADER_BYTES, 64, 1000]) {
    const data = payload(createMark(), 31, 12_345, 1_700_000_000_000_000, bytes);
    expect(data).toHaveLength(bytes);
    expect(JSON.stringify(data)).toBe(`"${data}"`);
    expect(encodeURIComponent(data)).toBe(data);
    expect(readPayload(data, 0)).toEqual({ channel: 31, number: 12_345, intended: 1_700_000_000_000_000 });
    expect(readPayload(data.slice(0, -1), 0)).toBeNull();
  }
});

test("responses follow one another on a connection, and what is not HTTP is refused", () => {
  const seen: string[] = [];
  const reader = new ResponseReader({
    head: ({ status }) => void seen.push(String(status)),
    body: (bytes, start, end) => void seen.push(bytes.toString("latin1", start, end)),
    end: () => void seen.push("end"),
  });
  const wire = Buffer.from(
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" +
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.0 500 Oh\r\n\r\nrest",
  );
  reader.feed(wire);
  expect(reader.close()).toBe(true);
  expect(seen).toEqual(["204", "end", "200", "ok", "end", "200", "hi", "end", "500", "rest", "end"]);
  expect(() =>
    new ResponseReader({ head() {}, body() {}, end() {} }).feed(Buffer.from("SSH-2.0-x\r\n\r\n")),
  ).toThrow("not an HTTP response");
});
