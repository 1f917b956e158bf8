import { Refusal } from "../answers/problem.ts";
import { inSlices, type Sliced } from "./slices.ts";

/** The deepest nesting. What is deeper than 20,000 or so takes an engine's stack. */
const MAX_DEPTH = 10_000;
/**
 * The most arrays, objects and names in one event, or in a body that is none. A text can cost far more than its length: an
 * object with a name of its own takes 2 µs to read and to write, so that 1 MiB of them would take 200 ms at a stretch.
 */
const MAX_PARTS = 16_384;
/**
 * The most strings in it, names among them. An engine keeps short ones once, and looks each up: 600,000 that it has not seen
 * before, in 4 MiB, take 100 ms at a stretch. So many take 20.
 */
const MAX_STRINGS = 131_072;
/** A shorter text can have neither so many, nor be so deep: it is not looked through before it is parsed. */
const SHORT = 2 * MAX_DEPTH;
/** Characters that are looked through at a stretch: a tenth of a millisecond, or a few where the engine is cold. */
const STEP = 32_768;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** What is wrong with a text is the parser's to say; this only keeps from it what would take too long. */
class Scan {
  /** How many arrays and objects are open. */
  depth = 0;
  /** Where the next character is. */
  at: number;
  readonly #text: string;
  readonly #deepest: number;
  #parts = 0;
  #strings = 0;
  #inString = false;

  constructor(text: string, at: number, deepest: number) {
    this.#text = text;
    this.at = at;
    this.#deepest = deepest;
  }

  /**
   * Goes on for at most {@link STEP} characters.
   *
   * @param splits whether to stop after a comma at depth 1, and after what ends depth 1
   * @returns the character it has stopped after; 0 at the end of the step
   */
  step(where: () => string, splits: boolean): number {
    const text = this.#text;
    const stop = Math.min(this.at + STEP, text.length);
    while (this.at < stop) {
      if (this.#inString) {
        // Found by the engine: most of a text is in strings.
        const quote = text.indexOf('"', this.at);
        this.at = quote === -1 ? text.length : quote + 1;
        this.#inString = quote === -1 || isEscaped(text, quote);
        continue;
      }
      const unit = text.charCodeAt(this.at++);
      if (unit === QUOTE) {
        this.#inString = true;
        if (++this.#strings > MAX_STRINGS) throw tooMany(where(), `${MAX_STRINGS} strings and names`);
      } else if (unit === OPEN_ARRAY || unit === OPEN_OBJECT) {
        if (++this.depth > this.#deepest)
          throw new Refusal(400, `${where()} is JSON nested more than ${MAX_DEPTH} deep`);
        this.#count(where);
      } else if (unit === CLOSE_ARRAY || unit === CLOSE_OBJECT) {
        if (--this.depth === 0 && splits) return unit;
      } else if (unit === COLON) this.#count(where);
      else if (unit === COMMA && splits && this.depth === 1) {
        this.#parts = this.#strings = 0;
        return unit;
      }
    }
    return 0;
  }

  #count(where: () => string): void {
    if (++this.#parts > MAX_PARTS) throw tooMany(where(), `${MAX_PARTS} objects, arrays and names`);
  }
}

function tooMany(where: string, what: string): Refusal {
  return new Refusal(413, `${where} is JSON of more than ${what}; send it in parts, or as one string`);
}

/** Whether an odd number of backslashes stands before a quote. */
function isEscaped(text: string, quote: number): boolean {
  let before = quote - 1;
  while (text.charCodeAt(before) === BACKSLASH) before--;
  return (quote - 1 - before) % 2 === 1;
}

/**
 * Parses JSON, for {@link inSlices}.
 *
 * @throws Refusal 400 saying where it breaks off, or that it is too deep; 413 when it has too many parts
 */
export function* parseJson(text: string, where = "the body"): Sliced<unknown> {
  if (!isShort(text)) {
    const scan = new Scan(text, 0, MAX_DEPTH);
    while (scan.at < text.length) {
      scan.step(() => where, false);
      yield;
    }
  }
  return parseShortJson(text, where);
}

/** Whether a text costs no more than its length, and can be parsed without {@link parseJson}. */
export function isShort(text: string): boolean {
  return text.length <= SHORT;
}

/** @throws Refusal 400 saying where the JSON breaks off */
export function parseShortJson(text: string, where = "the body"): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(400, `${where} is not JSON: ${(error as Error).message}`);
  }
}

/** {@link parseJson} of a text, in slices. */
export async function readJson(text: string, where?: string): Promise<unknown> {
  return inSlices(parseJson(text, where));
}

/** Some of several events, parsed together. */
export interface Part {
  readonly values: readonly unknown[];
  /** Which one the first is, counted as messages name it. */
  readonly first: number;
  /** Characters of their text. */
  readonly length: number;
}

/** Several events, in parts, for {@link inSlices}: each takes about as much time, however the events are divided. */
export type Parts = Iterable<Part | undefined>;

/** Where the array of a text begins, after its bracket; null when it is no array. */
export function startOfArray(text: string): number | null {
  const start = text.search(/[^ \t\r\n]/);
  return start !== -1 && text.charCodeAt(start) === OPEN_ARRAY ? start + 1 : null;
}

/**
 * Characters of an array's text that are parsed together. No element in it can be too deep or have too many parts: a level of
 * objects takes 5 characters (`{"":}`) and has two parts, and arrays are counted.
 */
const PART = 39_000;
/** Arrays in a part. */
const ARRAYS = 500;

/**
 * The elements of an array, as they are parsed.
 *
 * @param from where its first element begins
 * @throws Refusal 400 saying where the JSON breaks off, or what is too deep; 413 when an element has too many parts
 */
export function* parseArray(text: string, from: number): Generator<Part | undefined, void, undefined> {
  let scan: Scan | null = null;
  let until = 0;
  for (let at = from, first = 0; ;) {
    let part = scan === null ? parsePart(text, at, first) : null;
    if (part === null) {
      // Each for itself: one is wrong, or so long, or of such a form that the end of a part was not found.
      if (scan === null) {
        scan = new Scan(text, at, MAX_DEPTH + 1);
        scan.depth = 1;
        until = at + PART;
      }
      part = yield* parseElement(text, scan, first);
    }
    yield part;
    if (part.isLast) return;
    first += part.values.length;
    at += part.length;
    if (at >= until) scan = null;
  }
}

interface ArrayPart extends Part {
  /** Whether the array ends with it, and the text with the array. */
  readonly isLast: boolean;
}

/** Elements that are whole if the parser says so; null if not. */
function parsePart(text: string, at: number, first: number): ArrayPart | null {
  const isLast = text.length - at <= PART;
  const end = isLast ? text.length : probableEnd(text, at);
  if (end === -1) return null;
  const json = `[${text.slice(at, end)}${isLast ? "" : "]"}`;
  if (hasManyArrays(json)) return null;
  try {
    // A text that is cut off within a string, an object or an array is no JSON.
    const values = JSON.parse(json) as unknown[];
    if (values.length === 0 && first > 0) return null; // there is a comma before it
    return { values, first, length: (isLast ? end : text.indexOf(",", end) + 1) - at, isLast };
  } catch {
    return null;
  }
}

function hasManyArrays(json: string): boolean {
  let count = 0;
  for (let at = json.indexOf("["); at !== -1; at = json.indexOf("[", at + 1))
    if (++count > ARRAYS) return true;
  return false;
}

/** Where an element ends that is followed by one more; -1 if that is not to be seen easily. */
function probableEnd(text: string, at: number): number {
  let end = at + PART;
  for (let attempt = 0; attempt < 8; attempt++) {
    end = text.lastIndexOf("}", end - 1);
    if (end <= at) return -1;
    NEXT_OBJECT.lastIndex = end + 1;
    if (NEXT_OBJECT.test(text)) return end + 1;
  }
  return -1;
}

const NEXT_OBJECT = /[ \t\r\n]{0,64},[ \t\r\n]{0,64}\{/y;

/** @param scan where the element begins */
function* parseElement(text: string, scan: Scan, first: number): Sliced<ArrayPart> {
  const from = scan.at;
  const where = (): string => `event ${first}`;
  let unit = 0;
  while (unit === 0) {
    if (scan.at === text.length) throw unended();
    unit = scan.step(where, true);
    if (unit === 0) yield;
  }
  const element = text.slice(from, scan.at - 1);
  const isLast = unit !== COMMA;
  if (isLast && (unit !== CLOSE_ARRAY || !isBlank(text.slice(scan.at)))) throw unended();
  const isEmpty = isLast && first === 0 && isBlank(element);
  const values = isEmpty ? [] : [parseShortJson(element, where())];
  return { values, first, length: (isLast ? text.length : scan.at) - from, isLast };
}

function unended(): Refusal {
  return new Refusal(400, "the body is not JSON: the array does not end where the body does");
}

/** What JSON takes for white space (RFC 8259, 2). */
function isBlank(text: string): boolean {
  return /^[ \t\r\n]*$/.test(text);
}

/** Fields of a JSON object: an object without a prototype, in which a name is looked up for half of what a Set takes. */
export type FieldNames = Readonly<Record<string, true>>;

/** For {@link requireFields}. */
export function fieldNames(...names: string[]): FieldNames {
  const fields = Object.fromEntries(names.map((name) => [name, true] as const));
  return Object.assign(Object.create(null) as object, fields);
}

/**
 * @param where how a message calls it; a function where there are thousands
 * @throws Refusal 400 when it is no JSON object, or has a field that is not in the list
 */
export function requireFields(
  value: unknown,
  fields: FieldNames,
  where: string | (() => string),
): Record<string, unknown> {
  const name = (): string => (typeof where === "string" ? where : where());
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal(400, `${name()} must be a JSON object with ${Object.keys(fields).join(", ")}`);
  }
  for (const field in value) {
    if (fields[field]) continue;
    throw new Refusal(
      400,
      `${name()} has an unknown field ${JSON.stringify(field.slice(0, 64))}; known are ${Object.keys(fields).join(", ")}`,
    );
  }
  return value as Record<string, unknown>;
}
