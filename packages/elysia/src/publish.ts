import type { Message } from "@sse/hub";
import type { Server } from "bun";
import type { Admission } from "./admission.ts";
import { type Access, requirePublish, requirePublisher } from "./auth/access.ts";
import { requireKnownOrigin } from "./origin.ts";
import { Refusal } from "./problem.ts";
import { queryOf, readQuery, remembering } from "./query.ts";
import { tracePublish } from "./tracing.ts";

type Publication = Message & { topic: string };

const FIELDS = fieldNames("topic", "data", "event", "key", "id", "end");
const TEXT_PARAMETERS = ["topic", "event", "key", "id"];
/** Made once: Bun copies it for less than it takes to read an object. */
const JSON_ANSWER: ResponseInit = { headers: new Headers({ "content-type": "application/json" }) };
/** A byte order mark is a part of the text: JSON refuses it, data keeps it. */
const UTF8 = { fatal: true, ignoreBOM: true };
const decoder = new TextDecoder("utf-8", UTF8);

const parseMediaType = remembering((text) => {
  const [type = "", ...parameters] = text.toLowerCase().split(";");
  const charset = parameters.map((each) => each.trim()).find((each) => each.startsWith("charset="));
  if (charset !== undefined && !/^charset="?(utf-?8|us-ascii)"?$/.test(charset)) {
    throw new Refusal(415, `${charset} is not understood; send UTF-8`);
  }
  return type.trim();
});

/** @throws Refusal 415 for a charset or a coding that is not understood, whose bytes would be taken for others */
function mediaType(request: Request): string {
  const type = parseMediaType(request.headers.get("content-type") ?? "");
  const coding = request.headers.get("content-encoding");
  if (coding !== null && coding.toLowerCase() !== "identity") {
    throw new Refusal(415, `content-encoding ${coding} is not understood; send the body as it is`);
  }
  return type;
}

/**
 * A request's body as text.
 *
 * @throws Refusal 413 over the limit, without having read much more than that; 400 when it is not UTF-8
 */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const length = request.headers.get("content-length");
  if (Number(length) > maxBytes) throw tooLarge(maxBytes);
  try {
    if (length === null) return await readUnbounded(request, maxBytes);
    return decoder.decode(await request.arrayBuffer());
  } catch (error) {
    if (error instanceof TypeError) throw new Refusal(400, "the body is not UTF-8");
    if ((error as Error).name === "AbortError") throw new Refusal(400, "the body was cut off");
    throw error;
  }
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal(
    413,
    `the body is over the limit of ${maxBytes} bytes; send the events in several requests`,
  );
}

/** Without a length nothing bounds the body but us. */
async function readUnbounded(request: Request, maxBytes: number): Promise<string> {
  const chunkDecoder = new TextDecoder("utf-8", UTF8);
  let text = "";
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    text += chunkDecoder.decode(chunk, { stream: true });
  }
  return text + chunkDecoder.decode();
}

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

function publicationOf(value: unknown, where: string): Publication {
  const fields = requireFields(value, FIELDS, where);
  if (!("topic" in fields)) throw new Refusal(400, `${where} has no topic`);
  return fields as unknown as Publication; // the hub checks the fields' values
}

/** The events of `application/x-ndjson`. */
function parseLines(text: string): Publication[] {
  const events: Publication[] = [];
  for (let start = 0, number = 1; start < text.length; number++) {
    const found = text.indexOf("\n", start);
    const end = found === -1 ? text.length : found;
    const line = end === start ? "" : text.slice(start, end);
    if (line.trim() !== "") events.push(publicationOf(parseJson(line, `line ${number}`), `line ${number}`));
    start = end + 1;
  }
  return events;
}

const parseTextQuery = remembering((text) => {
  const query = readQuery(text, TEXT_PARAMETERS);
  if (!query.has("topic"))
    throw new Refusal(400, "a text body needs its topic in the query: /publish?topic=NAME");
  return Object.fromEntries(query) as unknown as Omit<Publication, "data">;
});

/** @throws Refusal 401 or 403 */
function requireAll(access: Access | undefined, events: readonly Publication[]): void {
  if (access === undefined) return;
  let last: unknown; // events that come together are often of one topic
  for (const { topic } of events) {
    if (topic !== last) requirePublish(access, topic);
    last = topic;
  }
}

/**
 * `POST /publish`: one event, or all or none of several; answered once they are kept.
 *
 * @param access where it may publish; default: everywhere
 */
export async function publish(
  admission: Admission,
  request: Request,
  server: Server<unknown> | null,
  { maxBodyBytes, origins }: { maxBodyBytes: number; origins: readonly string[] },
  access?: Access,
): Promise<Response> {
  const { hub } = admission;
  const since = performance.now();
  const answer = (fields: string): Response => {
    admission.onPublished(performance.now() - since);
    // An id holds nothing that JSON would have to escape.
    return new Response(`{${fields}}\n`, JSON_ANSWER);
  };
  requireKnownOrigin(request, origins);
  if (access !== undefined) requirePublisher(access);
  admission.takeEvents(request, server, access, 0);
  const type = mediaType(request);
  if (type !== "application/json" && type !== "application/x-ndjson" && type !== "text/plain") {
    const given = type === "" ? "there is no content-type" : `${type} is not understood`;
    throw new Refusal(
      415,
      `${given}; send application/json, application/x-ndjson, or text/plain with ?topic=NAME`,
    );
  }
  const query = queryOf(request.url);
  if (type !== "text/plain" && query !== "") readQuery(query, []); // what belongs into the body must not be lost here
  const text = await readText(request, maxBodyBytes);
  if (type === "application/x-ndjson") {
    const events = parseLines(text);
    requireAll(access, events);
    admission.takeEvents(request, server, access, events.length);
    return answer(idList(await tracePublish(request, events, () => hub.publishMany(events))));
  }
  if (type === "application/json") {
    const body = parseJson(text);
    if (Array.isArray(body)) {
      const events = body.map((event, at) => publicationOf(event, `event ${at}`));
      requireAll(access, events);
      admission.takeEvents(request, server, access, events.length);
      return answer(idList(await tracePublish(request, events, () => hub.publishMany(events))));
    }
    const event = publicationOf(body, "the event");
    if (access !== undefined) requirePublish(access, event.topic);
    admission.takeEvents(request, server, access, 1);
    return answer(`"id":"${await tracePublish(request, [event], () => hub.publish(event.topic, event))}"`);
  }
  const event = { ...parseTextQuery(query), data: text };
  if (access !== undefined) requirePublish(access, event.topic);
  admission.takeEvents(request, server, access, 1);
  return answer(`"id":"${await tracePublish(request, [event], () => hub.publish(event.topic, event))}"`);
}

function idList(ids: readonly string[]): string {
  return ids.length === 0 ? `"ids":[]` : `"ids":["${ids.join('","')}"]`;
}
