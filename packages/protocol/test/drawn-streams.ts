import fc from "fast-check";
import { concatenated, utf8 } from "./harness.ts";
import { thresholds } from "./thresholds.ts";

/*
 * Streams for the tests of cuts. A decoder that treats a short piece, a long line or a large chunk in a way of its own can be
 * wrong only near the numbers it decides by: so lines, values, chunks, counts and limits are drawn around each of these, and
 * cuts around the beginnings and ends of lines.
 */

/** The default limit is beyond what a test can feed so often; limits are drawn around the other numbers. */
export const MAX_THRESHOLD: number = 64 * 1024;

const aroundThreshold = fc
  .tuple(
    fc.constantFrom(...[...(await thresholds()).values()].filter((value) => value <= MAX_THRESHOLD)),
    fc.integer({ min: -2, max: 2 }),
  )
  .map(([threshold, away]) => Math.max(0, threshold + away));
const size = fc.oneof(fc.nat(12), aroundThreshold);

const NAMES = [
  ...["data", "event", "id", "retry"].flatMap((name) => [
    `${name}:`,
    `${name}: `,
    name,
    name.slice(0, -1),
    `${name}x`,
    ` ${name}:`,
  ]),
  ":",
  ": ",
  "unknown: ",
  "\ufeffdata: ",
  "",
];
// Not those of Uint8Array: Node 22 has none.
const hex = (text: string): string => Buffer.from(text).toString("hex");
const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

/** What values are made of, in hexadecimal. */
const WELL_FORMED = ["x", "7", "é", "€", "😀", "\ufeff", " ", ":", "\0", "data: "].map((text) => hex(text));
const MALFORMED = ["80", "c3", "f09f", "e28241", "ff", "f880808080"];
const MARKS = ["", "\ufeff", "\ufeff\ufeff"].map(hex);
const PARTS_OF_MARKS = ["ef", "efbb"];
const LINE_ENDS = ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r", "\n\r"];

interface Line {
  readonly name: string;
  readonly size: number;
  /** Whether the size is that of the whole line, or of the value alone. */
  readonly isWhole: boolean;
  /** What the value consists of, in hexadecimal. */
  readonly unit: string;
  /** How many letters come before the first unit. */
  readonly shift: number;
  /** What the value ends with, in hexadecimal. */
  readonly last: string;
  readonly lineEnd: string;
  readonly times: number;
  /** Whether each repetition is a byte longer than the one before it: so there are that many types, or ids. */
  readonly grows: boolean;
}

interface Place {
  /** Which line; taken modulo the number of lines. */
  readonly line: number;
  readonly from: "start" | "end" | "last cut";
  readonly away: number;
}

interface Drawing {
  readonly mark: string;
  readonly lines: readonly Line[];
  readonly places: readonly Place[];
  /** Besides, the stream is cut into pieces of this size. */
  readonly step: number;
  readonly comments: boolean;
  /** A number of bytes, or so many more than a line has. */
  readonly limit: { readonly line: number | null; readonly bytes: number } | null;
}

/** A stream, where it can be cut, and how it is to be decoded. */
export interface DrawnStream {
  readonly bytes: Uint8Array;
  /** Places to cut it at, its length the last; two equal ones make an empty piece, which must change nothing either. */
  readonly cuttings: readonly (readonly number[])[];
  readonly comments: boolean;
  readonly maxEventBytes: number | null;
}

/** Any bytes, malformed ones among them; or such as a text can have. */
export function drawing(wellFormed: boolean): fc.Arbitrary<Drawing> {
  const units = wellFormed ? WELL_FORMED : [...WELL_FORMED, ...MALFORMED];
  const line = fc.record({
    name: fc.oneof(
      fc.constantFrom(...NAMES),
      fc.constantFrom("data: ", "data:"),
      fc.constantFrom("data: ", "id: ", "event: "),
    ),
    size,
    isWhole: fc.boolean(),
    unit: fc.oneof(fc.constantFrom(...WELL_FORMED.slice(0, 2)), fc.constantFrom(...units)),
    shift: fc.nat(3),
    last: fc.oneof(fc.constantFrom("", "00"), fc.constantFrom(...units)),
    lineEnd: fc.oneof(fc.constantFrom("\n", "\n\n"), fc.constantFrom(...LINE_ENDS)),
    times: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: aroundThreshold }),
    grows: fc.boolean(),
  });
  const place = fc.record({
    line: fc.nat(5),
    from: fc.constantFrom("start", "end", "last cut"),
    away: fc.oneof(fc.integer({ min: -2, max: 9 }), aroundThreshold),
  });
  const limit = fc.oneof(
    fc.record({ line: fc.nat(5), bytes: fc.integer({ min: -4, max: 4 }) }),
    fc.record({ line: fc.constant(null), bytes: size }),
  );
  return fc.record({
    mark: fc.oneof(fc.constant(""), fc.constantFrom(...(wellFormed ? MARKS : [...MARKS, ...PARTS_OF_MARKS]))),
    lines: fc.array(line, { minLength: 1, maxLength: 6 }),
    places: fc.array(place, { maxLength: 6 }),
    step: size,
    comments: fc.boolean(),
    limit: fc.option(limit),
  });
}

/** Longer than this a line is not repeated, or its repetitions are not. */
const MAX_REPEATED_BYTES = 32 * 1024;

export function drawn({ mark, lines, places, step, comments, limit }: Drawing): DrawnStream {
  const pieces: Uint8Array[] = [fromHex(mark)];
  const starts: number[] = [];
  let length = pieces[0]!.length;
  for (const line of lines) {
    const first = length;
    for (let time = 0; time === 0 || (time < line.times && length - first < MAX_REPEATED_BYTES); time++) {
      const bytes = bytesOf(line, line.grows ? time : 0);
      pieces.push(bytes);
      starts.push(length);
      length += bytes.length;
    }
  }
  // Shows what is left in the buffers.
  pieces.push(utf8("\ndata: end\n\n"));
  const bytes = concatenated(pieces);
  const cuts = cutsOf(places, [...starts, length], bytes.length);
  const stride = Math.max(1, step);
  const steps = Array.from({ length: Math.ceil(bytes.length / stride) }, (_, at) => at * stride);
  const sizeOf = (line: number): number => pieces[1 + (line % starts.length)]!.length;
  return {
    bytes,
    cuttings: [cuts, [...cuts, ...starts], [...steps, ...steps], []].map((cutting) =>
      cutting.toSorted((a, b) => a - b).concat(bytes.length),
    ),
    comments,
    maxEventBytes: limit && Math.max(1, limit.bytes + (limit.line === null ? 0 : sizeOf(limit.line))),
  };
}

function bytesOf(
  { name, size: wanted, isWhole, unit, shift, last, lineEnd }: Line,
  more: number,
): Uint8Array {
  const start = utf8(name);
  const length = Math.max(0, more + (isWhole ? wanted - start.length : wanted));
  const tail = fromHex(last.length <= 2 * length ? last : "");
  const part = fromHex(unit);
  const value = new Uint8Array(length).fill(0x79);
  for (let at = shift; at + part.length <= length - tail.length; at += part.length) value.set(part, at);
  value.set(tail, length - tail.length);
  return concatenated([start, value, utf8(lineEnd)]);
}

/** @param bounds where each line starts, and where the last one ends */
function cutsOf(places: readonly Place[], bounds: readonly number[], length: number): number[] {
  const cuts: number[] = [];
  for (const { line, from, away } of places) {
    const index = line % (bounds.length - 1);
    const base = { start: bounds[index]!, end: bounds[index + 1]! - 1, "last cut": cuts.at(-1) ?? 0 }[from];
    cuts.push(Math.max(0, Math.min(length, base + away)));
  }
  return cuts;
}
