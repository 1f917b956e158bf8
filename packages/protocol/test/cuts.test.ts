import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { hash } from "node:crypto";
import { createDecoder, EventTooLargeError } from "../src/index.ts";
import { drawing, drawn, MAX_THRESHOLD } from "./drawn-streams.ts";
import { utf8 } from "./harness.ts";
import { decodeWhole, type ReferenceOptions, type Step } from "./reference-decoder.ts";
import { thresholds, unnamedNumbers } from "./thresholds.ts";

/*
 * Where a stream is cut must never show: not in what comes out, not in its order, not in when it comes out, and not in which byte
 * a limit falls on.
 */

/** `CODEC_RUNS=100000 bun test cuts` looks further. */
const RUNS = Number(process.env.CODEC_RUNS ?? 3000);
// Enough for a machine that is busy with other things: slowness alone fails nothing here.
setDefaultTimeout(120_000 + 20 * RUNS);

test("every number that the codec decides by has a name, and lengths are drawn around it", async () => {
  const known = await thresholds();
  expect([...known.keys()]).toContain("MAX_LINES");
  const large = [...known].filter(([, value]) => value > MAX_THRESHOLD);
  expect(large.map(([name]) => name)).toEqual(["DEFAULT_MAX_EVENT_BYTES"]);
  expect(await unnamedNumbers()).toEqual([]);
});

/** Long texts by their length and hash, so that a difference can be read. */
function brief(text: string): string {
  return text.length < 80 ? text : `${text.slice(0, 40)}... (${text.length}, ${hash("sha1", text)})`;
}

function written(step: Step): string {
  if (step.kind === "too large") return step.kind;
  if (step.kind === "retry") return `retry ${step.milliseconds}`;
  if (step.kind === "comment") return `comment ${brief(step.text)}`;
  if (step.kind === "id") return `last event id ${brief(step.lastEventId)}`;
  const { type, data, lastEventId } = step.event;
  return `event ${brief(type)} | ${brief(data)} | ${brief(lastEventId)}`;
}

/** What a decoder did, each thing with the number of the chunk that made it do so. */
class Account {
  readonly lines: string[] = [];
  #lastEventId = "";

  add(chunk: number, step: Step): void {
    this.lines.push(`${chunk}: ${written(step)}`);
  }

  /** The id as it is after a chunk. */
  settle(chunk: number, lastEventId: string): void {
    if (lastEventId === this.#lastEventId) return;
    this.#lastEventId = lastEventId;
    this.add(chunk, { at: 0, kind: "id", lastEventId });
  }
}

function decoded(
  chunks: readonly (Uint8Array | string)[],
  { comments, maxEventBytes }: ReferenceOptions,
): string[] {
  const account = new Account();
  let chunk = 0;
  const add = (step: Step): void => account.add(chunk, step);
  const decoder = createDecoder({
    maxEventBytes,
    onEvent: (event) => add({ at: 0, kind: "event", event }),
    onRetry: (milliseconds) => add({ at: 0, kind: "retry", milliseconds }),
    onComment: comments ? (text) => add({ at: 0, kind: "comment", text }) : undefined,
  });
  for (; chunk < chunks.length; chunk++) {
    try {
      decoder.feed(chunks[chunk]!);
    } catch (error) {
      expect(error).toBeInstanceOf(EventTooLargeError);
      add({ at: 0, kind: "too large" });
      break;
    }
    account.settle(chunk, decoder.lastEventId);
  }
  return account.lines;
}

/** What the standard says that chunks which end at these bytes make a decoder do. */
function expected(steps: readonly Step[], ends: readonly number[]): string[] {
  const account = new Account();
  let lastEventId = "";
  let next = 0;
  for (const [chunk, end] of ends.entries()) {
    for (; next < steps.length && steps[next]!.at <= end; next++) {
      const step = steps[next]!;
      if (step.kind === "id") ({ lastEventId } = step);
      else account.add(chunk, step);
      if (step.kind === "too large") return account.lines;
    }
    account.settle(chunk, lastEventId);
  }
  return account.lines;
}

test("bytes: cut anywhere, each does what the standard says, when it comes", () => {
  let failures = 0;
  fc.assert(
    fc.property(drawing(false), (given) => {
      const stream = drawn(given);
      const { steps } = decodeWhole(stream.bytes, stream);
      if (steps.at(-1)?.kind === "too large") failures++;
      for (const ends of stream.cuttings) {
        const chunks = ends.map((end, index) => stream.bytes.subarray(ends[index - 1] ?? 0, end));
        expect(decoded(chunks, stream)).toEqual(expected(steps, ends));
      }
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
  expect(failures).toBeGreaterThan(RUNS / 10);
});

test("text: as its bytes, also when a cut parts a surrogate pair", () => {
  fc.assert(
    fc.property(drawing(true), (given) => {
      const stream = drawn(given);
      const { steps } = decodeWhole(stream.bytes, stream);
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      const text = decoder.decode(stream.bytes);
      // A cut inside a character of four bytes leaves one U+FFFD before it: the place between the two halves of its pair.
      const places = stream.cuttings[0]!.map((end) => decoder.decode(stream.bytes.subarray(0, end)).length);
      const chunks = places.map((end, index) => text.slice(places[index - 1] ?? 0, end));
      // Half a pair waits for the other half.
      const ends = places.map((end) => utf8(text.slice(0, end).replace(/[\ud800-\udbff]$/, "")).length);
      expect(decoded(chunks, stream)).toEqual(expected(steps, ends));
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
});
