import type { EventId, Message } from "@sse/hub";
import type { Server } from "bun";
import { NOSNIFF } from "./answers.ts";
import type { Admission } from "./admission.ts";
import { type Access, requirePublish, requirePublisher } from "./auth/access.ts";
import { fieldNames, parseJson, requireFields } from "./json.ts";
import { memoiseLast } from "./memoise-last.ts";
import { requireKnownOrigin } from "./origin.ts";
import { Refusal } from "./problem.ts";
import { queryOf, readQuery } from "./query.ts";
import { mediaType, readText } from "./request-body.ts";
import { tracePublish } from "./tracing.ts";

/** An event as a request has it. The hub checks the values of its fields. */
export type Publication = Message & { topic: string };

/** One event, or several that are published together. */
type Publications = Publication | Publication[];

/** What bounds a request to publish. */
export interface PublishOptions {
  /** The most bytes in the body. */
  maxBodyBytes: number;
  /** Whose pages may publish, besides the server's own. */
  origins: readonly string[];
}

const FIELDS = fieldNames("topic", "data", "event", "key", "id", "end");
const FIELD_NAMES = Object.keys(FIELDS);
const TEXT_PARAMETERS = ["topic", "event", "key", "id"];
/** Made once: Bun copies it for less than it takes to read an object. */
const JSON_ANSWER: ResponseInit = {
  headers: new Headers({ ...NOSNIFF, "content-type": "application/json" }),
};

function publicationOf(value: unknown, where: string): Publication {
  const fields = requireFields(value, FIELDS, where);
  if (!("topic" in fields)) throw new Refusal(400, `${where} has no topic`);
  return fields as unknown as Publication;
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

const readTextQuery = memoiseLast((text) => {
  const query = readQuery(text, TEXT_PARAMETERS, FIELD_NAMES);
  if (!query.has("topic"))
    throw new Refusal(400, "a text body needs its topic in the query: /publish?topic=NAME");
  return Object.fromEntries(query) as unknown as Omit<Publication, "data">; // of one that comes twice, the last
});

/** @throws Refusal 400, 413 or 415 */
async function readPublications(request: Request, maxBodyBytes: number): Promise<Publications> {
  const type = mediaType(request);
  const query = queryOf(request.url);
  if (type === "text/plain") return { ...readTextQuery(query), data: await readText(request, maxBodyBytes) };
  if (type !== "application/json" && type !== "application/x-ndjson") {
    const given = type === "" ? "there is no content-type" : `${type} is not understood`;
    throw new Refusal(
      415,
      `${given}; send application/json, application/x-ndjson, or text/plain with ?topic=NAME`,
    );
  }
  if (query !== "") readQuery(query, [], FIELD_NAMES); // what belongs into the body must not be lost here
  const text = await readText(request, maxBodyBytes);
  if (type === "application/x-ndjson") return parseLines(text);
  const body = parseJson(text);
  if (!Array.isArray(body)) return publicationOf(body, "the event");
  return body.map((event, at) => publicationOf(event, `event ${at}`));
}

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
 * @param read reads the body; default: as `/publish` takes it
 */
export async function publish(
  admission: Admission,
  request: Request,
  server: Server<unknown> | null,
  { maxBodyBytes, origins }: PublishOptions,
  access?: Access,
  read: (request: Request, maxBodyBytes: number) => Promise<Publications> = readPublications,
): Promise<Response> {
  const { hub } = admission;
  const since = performance.now();
  requireKnownOrigin(request, origins);
  if (access !== undefined) requirePublisher(access);
  admission.checkPublishRate(request, server, access, 0);
  const given = await read(request, maxBodyBytes);
  const events = Array.isArray(given) ? given : [given];
  requireAll(access, events);
  admission.checkPublishRate(request, server, access, events.length);
  const ids = await tracePublish<EventId | readonly EventId[]>(request, events, () =>
    Array.isArray(given) ? hub.publishMany(given) : hub.publish(given.topic, given),
  );
  admission.onPublished(performance.now() - since);
  return new Response(`{${typeof ids === "string" ? `"id":"${ids}"` : idList(ids)}}\n`, JSON_ANSWER);
}

/** An id holds nothing that JSON would have to escape. */
function idList(ids: readonly string[]): string {
  return ids.length === 0 ? `"ids":[]` : `"ids":["${ids.join('","')}"]`;
}
