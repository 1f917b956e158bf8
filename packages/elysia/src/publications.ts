import type { MaybePromise, Message } from "@sse/hub";
import {
  fieldNames,
  isShort,
  parseJson,
  parseShortJson,
  requireFields,
  splitArray,
  tooMany,
} from "./json.ts";
import { mediaType } from "./media-type.ts";
import { memoiseLast } from "./memoise-last.ts";
import { Refusal } from "./problem.ts";
import { queryOf, readQuery } from "./query.ts";
import { inSlices, type Sliced } from "./slices.ts";

/** An event as a request has it. The hub checks the values of its fields. */
export type Publication = Message & { topic: string };

/** One of several events: as its JSON text, or as the value that it was parsed to with the others. */
export interface Element {
  /** How messages call it. */
  readonly where: string;
  readonly text?: string;
  readonly value?: unknown;
}

/**
 * Finds the events of a body: one, or several, which are counted first, and looked at when they are known not to be too many.
 *
 * @param most how many there may be
 */
export type PublicationParser = (text: string, most: number) => MaybePromise<Publication | Element[]>;

const FIELDS = fieldNames("topic", "data", "event", "key", "id", "end");
const FIELD_NAMES = Object.keys(FIELDS);
const TEXT_PARAMETERS = ["topic", "event", "key", "id"];

/** @throws Refusal 400 */
export function publicationOf(value: unknown, where: string): Publication {
  const fields = requireFields(value, FIELDS, where);
  if (!("topic" in fields)) throw new Refusal(400, `${where} has no topic`);
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
  return type === "application/json" ? parseJsonBody : (text, most) => inSlices(splitLines(text, most));
}

/** `application/json`: an event, or an array of them. */
function parseJsonBody(text: string, most: number): MaybePromise<Publication | Element[]> {
  return isShort(text) ? publicationsOf(parseShortJson(text)) : inSlices(parseLongBody(text, most));
}

function* parseLongBody(text: string, most: number): Sliced<Publication | Element[]> {
  const texts = yield* splitArray(text, most);
  if (texts === null) return publicationsOf(yield* parseJson(text));
  return texts.map((each, index) => ({ text: each, where: `event ${index}` }));
}

function publicationsOf(body: unknown): Publication | Element[] {
  if (!Array.isArray(body)) return publicationOf(body, "the event");
  return body.map((value: unknown, index) => ({ value, where: `event ${index}` }));
}

/** Blank lines between two turns of the event loop. */
const LINES = 1000;

/** `application/x-ndjson`: an event in each line that is not blank. */
function* splitLines(text: string, most: number): Sliced<Element[]> {
  const lines: Element[] = [];
  for (let start = 0, number = 1; start < text.length; number++) {
    const found = text.indexOf("\n", start);
    const end = found === -1 ? text.length : found;
    const line = end === start ? "" : text.slice(start, end);
    if (line.trim() !== "") {
      if (lines.length === most) throw tooMany(most);
      lines.push({ text: line, where: `line ${number}` });
    }
    if (number % LINES === 0) yield;
    start = end + 1;
  }
  return lines;
}
