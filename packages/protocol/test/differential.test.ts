import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { createDecoder, encodeEvent, EventTooLargeError, type ServerSentEvent } from "../src/index.ts";
import { byteByByte, chunkings, concatenated, decodeChunks, utf8 } from "./harness.ts";
import { decodeWhole, type Outcome } from "./reference-decoder.ts";

// Enough for a machine that is busy with other things: slowness alone fails nothing here.
setDefaultTimeout(120_000);

const PIECES = [
  "data:x",
  "data: é😀\u2028",
  "data",
  "dat",
  "data:\ufffd",
  "event: e",
  "event",
  "id:1",
  "id",
  "id:a\0b",
  "retry: 15",
  "retry:x",
  "unknown: y",
  ":",
  ": note",
  "\r",
  "\n",
  "\r\n",
  "\n\n",
  " ",
  "\ufeff",
].map(utf8);

const lineEnds = ["\r", "\n", "\r\n"].map(utf8);

/** Plausible streams with malformed UTF-8 in them, cut at random. */
const chunks = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...PIECES) },
      { weight: 6, arbitrary: fc.constantFrom(...lineEnds) },
      { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(...byteByByte(Uint8Array.of(0xef, 0xbb, 0xbf, 0xf0, 0x9f, 0x98))),
      },
    ),
    { maxLength: 40 },
  )
  .chain((pieces) => {
    const bytes = concatenated(pieces);
    return fc
      .array(fc.nat(bytes.length), { maxLength: 8 })
      .map((cuts) => cuts.toSorted((a, b) => a - b).concat(bytes.length))
      .map((cuts) => cuts.map((end, index) => bytes.subarray(cuts[index - 1] ?? 0, end)));
  });

function outcomeOf(pieces: readonly Uint8Array[]): Outcome {
  const { events, retries, comments, lastEventId } = decodeChunks(pieces);
  return { events, retries, comments, lastEventId };
}

test("random streams, cut at random, decode as the standard says", () => {
  fc.assert(
    fc.property(chunks, (pieces) => {
      const bytes = concatenated(pieces);
      const { steps: _, ...expected } = decodeWhole(bytes);
      expect(outcomeOf(pieces)).toEqual(expected);
      expect(outcomeOf(byteByByte(bytes))).toEqual(expected);
    }),
    { numRuns: 5000 },
  );
});

test("every short stream, cut everywhere, decodes as the standard says", () => {
  const alphabet = ["data:x", "\r", "\n", ":", "id:1", "\ufeff", "event:e", " "];
  let streams = 0;
  for (let length = 0; length <= 5; length++) {
    for (let number = 0; number < alphabet.length ** length; number++) {
      let text = "";
      for (let rest = number, index = 0; index < length; index++, rest = Math.floor(rest / alphabet.length)) {
        text += alphabet[rest % alphabet.length];
      }
      // The blank line shows what is left in the buffers.
      const bytes = utf8(`${text}\n\n`);
      const { steps: _, ...outcome } = decodeWhole(bytes);
      const expected = JSON.stringify(outcome);
      for (const pieces of chunkings(bytes)) {
        const actual = JSON.stringify(outcomeOf(pieces));
        if (actual !== expected) {
          expect({ text, pieces, outcome: actual }).toEqual({ text, pieces, outcome: expected });
        }
      }
      streams++;
    }
  }
  expect(streams).toBe(1 + 8 + 64 + 512 + 4096 + 32_768);
});

/** What a decoder with a limit delivers, and whether it gave up. */
function limited(pieces: readonly Uint8Array[], maxEventBytes: number, listens: boolean) {
  const events: ServerSentEvent[] = [];
  const comments: string[] = [];
  const decoder = createDecoder({
    maxEventBytes,
    onEvent: (event) => events.push(event),
    onComment: listens ? (text) => comments.push(text) : undefined,
  });
  let gaveUp = false;
  try {
    for (const piece of pieces) decoder.feed(piece);
  } catch (error) {
    expect(error).toBeInstanceOf(EventTooLargeError);
    gaveUp = true;
  }
  return { events, comments, gaveUp };
}

test("a limit is reached at the same byte however the stream is cut", () => {
  let reached = 0;
  fc.assert(
    fc.property(chunks, fc.integer({ min: 1, max: 30 }), fc.boolean(), (pieces, maxEventBytes, listens) => {
      const bytes = concatenated(pieces);
      const expected = limited(byteByByte(bytes), maxEventBytes, listens);
      if (expected.gaveUp) reached++;
      expect(limited(pieces, maxEventBytes, listens)).toEqual(expected);
      expect(limited([bytes], maxEventBytes, listens)).toEqual(expected);
    }),
    { numRuns: 3000 },
  );
  expect(reached).toBeGreaterThan(100);
});

test("every event that can be encoded arrives as it was, with line ends as LF", () => {
  const singleLine = fc.string({ unit: "grapheme" }).filter((text) => !/[\r\n\0]/.test(text));
  const data = fc
    .array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\r", "\n", "\r\n", " ", ":", "data: ")))
    .map((parts) => parts.join(""));
  const event = fc.record(
    { data, event: singleLine, id: singleLine, retry: fc.maxSafeNat() },
    { requiredKeys: ["data"] },
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 5 }), (messages) => {
      const stream = utf8(messages.map(encodeEvent).join(""));
      let lastEventId = "";
      const expected = messages.map((message) => {
        lastEventId = message.id ?? lastEventId;
        const lines = message.data.replace(/\r\n?/g, "\n");
        return { type: message.event || "message", data: lines, lastEventId };
      });
      for (const pieces of [[stream], byteByByte(stream)]) {
        const outcome = decodeChunks(pieces);
        expect(outcome.events).toEqual(expected);
        expect(outcome.retries).toEqual(messages.flatMap(({ retry }) => retry ?? []));
      }
    }),
    { numRuns: 1000 },
  );
});
