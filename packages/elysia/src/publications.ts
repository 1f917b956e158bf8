import type { MaybePromise, Message } from "@sse/hub";
import {
  fieldNames,
  isShort,
  parseArray,
  parseJson,
  parseShortJson,
  type Part,
  type Parts,
  requireFields,
  startOfArray,
} from "./json.ts";
import { mediaType } from "./media-type.ts";
import { memoiseLast } from "./memoise-last.ts";
import { Refusal } from "./problem.ts";
import { queryOf, readQuery } from "./query.ts";
import { inSlices, type Sliced } from "./slices.ts";

/** An event as a request has it. The hub checks the values of its fields. */
export type Publication = Message & { topic: string };

/** Several events, none of which has been looked at. */
export interface Several {
  /** What messages call one of them. */
  readonly unit: "event" | "line";
  readonly parts: Parts;
}

/** Finds the events of a body. */
export type PublicationParser = (text: string) => MaybePromise<Publication | Several>;

const FIELDS = fieldNames("topic", "data", "event", "key", "id", "end");
const FIELD_NAMES = Object.keys(FIELDS);
const TEXT_PARAMETERS = ["topic", "event", "key", "id"];

/**
 * @param where see {@link requireFields}
 * @throws Refusal 400
 */
export function publicationOf(value: unknown, where: string | (() => string)): Publication {
  const fields = requireFields(value, FIELDS, where);
  if (!("topic" in fields))
    throw new Refusal(400, `${typeof where === "string" ? where : where()} has no topic`);
  return fields as unknown as Publication;
}

const readTextQuery = memoiseLast((text) => {
  const query = readQuery(text, TEXT_PARAMETERS, FIELD_NAMES);
  if (!query.has("topic"))
    throw new Refusal(400, "a text body needs its topic in the query: /publish?topic=NAME");
  return Object.fromEntries(query) as unknown as Omit<Publication, "data">; // of one that comes twice, the last
});

/**
 * How the body of a request to `/publish` is read.
 *
 * @throws Refusal 400 or 415, before there is a body
 */
export function parserOf(request: Request): PublicationParser {
  const type = mediaType(request);
  const query = queryOf(request.url);
  if (type === "text/plain") {
    const fields = readTextQuery(query);
    return (text) => ({ ...fields, data: text });
  }
  if (type !== "application/json" && type !== "application/x-ndjson") {
    const given = type === "" ? "there is no content-type" : `${type} is not understood`;
    throw new Refusal(
      415,
      `${given}; send application/json, application/x-ndjson, or text/plain with ?topic=NAME`,
    );
  }
  if (query !== "") readQuery(query, [], FIELD_NAMES); // what belongs into the body must not be lost here
  return type === "application/json" ? parseJsonBody : (text) => ({ unit: "line", parts: parseLines(text) });
}

/** `application/json`: an event, or an array of them. */
export function parseJsonBody(text: string): MaybePromise<Publication | Several> {
  if (isShort(text)) {
    const body = parseShortJson(text);
    if (!Array.isArray(body)) return publicationOf(body, "the event");
    return { unit: "event", parts: [{ values: body, first: 0, length: text.length }] };
  }
  const start = startOfArray(text);
  return start === null ? inSlices(parseLongEvent(text)) : { unit: "event", parts: parseArray(text, start) };
}

function* parseLongEvent(text: string): Sliced<Publication> {
  return publicationOf(yield* parseJson(text), "the event");
}

/** Blank lines between two turns of the event loop. */
const LINES = 1000;

/** `application/x-ndjson`: an event in each line that is not blank. */
function* parseLines(text: string): Generator<Part | undefined, void, undefined> {
  for (let start = 0, number = 1; start < text.length; number++) {
    const found = text.indexOf("\n", start);
    const end = found === -1 ? text.length : found;
    const line = end === start ? "" : text.slice(start, end);
    if (line.trim() !== "") {
      const where = `line ${number}`;
      const value = isShort(line) ? parseShortJson(line, where) : yield* parseJson(line, where);
      yield { values: [value], first: number, length: line.length };
    } else if (number % LINES === 0) yield;
    start = end + 1;
  }
}
