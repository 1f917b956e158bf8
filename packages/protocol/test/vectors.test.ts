import { describe, expect, test } from "bun:test";
import { createDecoder, encodeComment, encodeEvent, type EncodableEvent } from "../src/index.ts";
import { byteByByte, chunkings, concatenated, decodeChunks, utf8 } from "./harness.ts";
import { decodeWhole } from "./reference-decoder.ts";
import decodeJson from "./vectors/decode.json" with { type: "json" };
import encodeJson from "./vectors/encode.json" with { type: "json" };

interface DecodeVector {
  name: string;
  chunks: (string | { hex: string })[];
  events: { type: string; data: string; lastEventId: string }[];
  retry?: number;
  comments?: string[];
  initialLastEventId?: string;
  finalLastEventId: string;
  eventsAfterChunk?: number[];
  notDispatched?: string[];
}

interface EncodeVector {
  name: string;
  message: EncodableEvent | { comment: string };
  decodesTo?: DecodeVector["events"];
  finalLastEventId?: string;
  retry?: number;
  comments?: string[];
  want?: "throw";
}

const decodeVectors = decodeJson as DecodeVector[];
const encodeVectors = encodeJson as EncodeVector[];

function bytesOf(chunk: DecodeVector["chunks"][number]): Uint8Array {
  return typeof chunk === "string" ? utf8(chunk) : Uint8Array.from(Buffer.from(chunk.hex, "hex"));
}

function expectOutcome(vector: DecodeVector, chunks: readonly (Uint8Array | string)[]): number[] {
  const outcome = decodeChunks(chunks, { lastEventId: vector.initialLastEventId });
  expect(outcome.events).toEqual(vector.events);
  expect(outcome.lastEventId).toBe(vector.finalLastEventId);
  expect(outcome.retries.at(-1)).toBe(vector.retry);
  if (vector.comments !== undefined) expect(outcome.comments).toEqual(vector.comments);
  for (const data of vector.notDispatched ?? []) {
    expect(outcome.events.map((event) => event.data)).not.toContain(data);
  }
  return outcome.eventsAfterChunk;
}

describe("decode vectors", () => {
  test("there are 151 of them, with promptness, comments, retry and resumption among them", () => {
    expect(decodeVectors.length).toBe(151);
    expect(decodeVectors.filter((vector) => vector.eventsAfterChunk !== undefined).length).toBe(49);
  });

  test.each(decodeVectors)("$name", (vector) => {
    const given = vector.chunks.map(bytesOf);
    const promptness = expectOutcome(vector, given);
    if (vector.eventsAfterChunk !== undefined) expect(promptness).toEqual(vector.eventsAfterChunk);

    const asText = vector.chunks.map((chunk) => (typeof chunk === "string" ? chunk : bytesOf(chunk)));
    expect(expectOutcome(vector, asText)).toEqual(promptness);

    const whole = concatenated(given);
    expect(decodeWhole(whole, { lastEventId: vector.initialLastEventId }).events).toEqual(vector.events);
    // A stream of a few kilobytes is cut at every place in its first and last 300 bytes only.
    for (const chunks of chunkings(whole)) {
      const [first, last] = chunks;
      if (chunks.length === 2 && first && last && first.length > 300 && last.length > 300) continue;
      expectOutcome(vector, chunks);
    }
  });

  test("text is decoded the same when it is cut between any two UTF-16 units", () => {
    for (const vector of decodeVectors) {
      if (!vector.chunks.every((chunk) => typeof chunk === "string")) continue;
      const text = vector.chunks.join("");
      // eslint-disable-next-line unicorn/prefer-spread -- units, not characters: a pair must be cut too
      expectOutcome(vector, text.split(""));
    }
  });
});

describe("encode vectors", () => {
  test("there are 22 of them", () => {
    expect(encodeVectors.length).toBe(22);
  });

  test.each(encodeVectors)("$name", ({ message, want, ...expected }) => {
    const encode = () => ("comment" in message ? encodeComment(message.comment) : encodeEvent(message));
    if (want === "throw") {
      expect(encode).toThrow(TypeError);
      return;
    }
    const outcome = decodeChunks(byteByByte(utf8(encode())));
    expect(outcome.events).toEqual(expected.decodesTo ?? []);
    expect(outcome.lastEventId).toBe(expected.finalLastEventId ?? "");
    expect(outcome.retries.at(-1)).toBe(expected.retry);
    expect(outcome.comments).toEqual(expected.comments ?? []);
  });
});

test("without listeners nothing but events comes out, and they are the same", () => {
  for (const vector of decodeVectors) {
    const events: DecodeVector["events"] = [];
    const decoder = createDecoder({
      onEvent: (event) => events.push(event),
      lastEventId: vector.initialLastEventId,
    });
    for (const chunk of byteByByte(concatenated(vector.chunks.map(bytesOf)))) decoder.feed(chunk);
    expect(events).toEqual(vector.events);
  }
});
