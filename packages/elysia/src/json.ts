import { Refusal } from "./problem.ts";
import { inSlices, type Sliced } from "./slices.ts";

/** The deepest nesting. What is deeper than 20,000 or so takes an engine's stack. */
const MAX_DEPTH = 10_000;
/**
 * The most arrays, objects and names in one event, or in a body that is none. A text can cost far more than its length: an
 * object with a name of its own takes 2 µs to read and to write, so that 1 MiB of them would take 200 ms at a stretch.
 */
const MAX_PARTS = 16_384;
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
      if (unit === QUOTE) this.#inString = true;
      else if (unit === OPEN_ARRAY || unit === OPEN_OBJECT) {
        if (++this.depth > this.#deepest)
          throw new Refusal(400, `${where()} is JSON nested more than ${MAX_DEPTH} deep`);
        this.#count(where);
      } else if (unit === CLOSE_ARRAY || unit === CLOSE_OBJECT) {
        if (--this.depth === 0 && splits) return unit;
      } else if (unit === COLON) this.#count(where);
      else if (unit === COMMA && splits && this.depth === 1) {
        this.#parts = 0;
        return unit;
      }
    }
    return 0;
  }

  #count(where: () => string): void {
    if (++this.#parts > MAX_PARTS)
      throw new Refusal(
        413,
        `${where()} is JSON of more than ${MAX_PARTS} objects, arrays and names; send it in parts, or as one string`,
      );
  }
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

/**
 * The texts of an array's elements, without a look at what they are; null for what is no array. They have passed
 * what {@link parseJson} looks for.
 *
 * @param most elements; what comes after is not looked at
 * @throws Refusal 400 or 413
 */
export function* splitArray(text: string, most: number): Sliced<string[] | null> {
  const start = text.search(/[^ \t\r\n]/);
  if (start === -1 || text.charCodeAt(start) !== OPEN_ARRAY) return null;
  const elements: string[] = [];
  const where = (): string => `event ${elements.length}`;
  const scan = new Scan(text, start, MAX_DEPTH + 1);
  for (let from = start + 1; scan.at < text.length;) {
    const unit = scan.step(where, true);
    if (unit === 0) yield;
    else {
      if (elements.length === most) throw tooMany(most);
      elements.push(text.slice(from, scan.at - 1));
      from = scan.at;
      if (unit === COMMA) continue;
      const isEnd = unit === CLOSE_ARRAY && isBlank(text.slice(scan.at));
      if (!isEnd) break;
      return elements.length === 1 && isBlank(elements[0]!) ? [] : elements;
    }
  }
  throw new Refusal(400, "the body is not JSON: the array does not end where the body does");
}

/** What JSON takes for white space (RFC 8259, 2). */
function isBlank(text: string): boolean {
  return /^[ \t\r\n]*$/.test(text);
}

/** @param most events of a request */
export function tooMany(most: number): Refusal {
  return new Refusal(413, `there are more than ${most} events, the limit; send them in parts`);
}

/** Fields of a JSON object: an object without a prototype, in which a name is looked up for half of what a Set takes. */
export type FieldNames = Readonly<Record<string, true>>;

/** For {@link requireFields}. */
export function fieldNames(...names: string[]): FieldNames {
  const fields = Object.fromEntries(names.map((name) => [name, true] as const));
  return Object.assign(Object.create(null) as object, fields);
}

/** @throws Refusal 400 when it is no JSON object, or has a field that is not in the list */
export function requireFields(value: unknown, fields: FieldNames, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal(400, `${where} must be a JSON object with ${Object.keys(fields).join(", ")}`);
  }
  for (const field in value) {
    if (fields[field]) continue;
    throw new Refusal(
      400,
      `${where} has an unknown field ${JSON.stringify(field.slice(0, 64))}; known are ${Object.keys(fields).join(", ")}`,
    );
  }
  return value as Record<string, unknown>;
}
