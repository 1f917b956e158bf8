import { Refusal } from "./problem.ts";

/** Deeper JSON takes half a second to be written, and seconds to be read, in which the server does nothing else. */
const MAX_DEPTH = 10_000;
/** A shorter text cannot be so deep. */
const DEEP_LENGTH = 2 * MAX_DEPTH;

function isDeep(text: string): boolean {
  let openers = 0;
  for (const opener of "[{") {
    for (let at = text.indexOf(opener); at !== -1; at = text.indexOf(opener, at + 1)) {
      if (++openers > MAX_DEPTH) return isNested(text);
    }
  }
  return false;
}

function isNested(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x22) {
      do at = text.indexOf('"', at + 1);
      while (at !== -1 && isEscaped(text, at));
      if (at === -1) return false; // a string without an end: the parser says so
    } else if (unit === 0x5b || unit === 0x7b) {
      if (++depth > MAX_DEPTH) return true;
    } else if (unit === 0x5d || unit === 0x7d) depth--;
  }
  return false;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes++;
  return backslashes % 2 === 1;
}

/** @throws Refusal 400 saying where the JSON breaks off */
export function parseJson(text: string, where = "the body"): unknown {
  if (text.length > DEEP_LENGTH && isDeep(text)) {
    throw new Refusal(400, `${where} is JSON nested more than ${MAX_DEPTH} deep`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(400, `${where} is not JSON: ${(error as Error).message}`);
  }
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
