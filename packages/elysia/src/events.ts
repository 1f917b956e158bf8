import {
  directStream,
  type Hub,
  HubError,
  type LagPolicy,
  type MaybePromise,
  type Start,
  type StreamRequest,
} from "@sse/hub";
import { CONTENT_TYPE, encodeEvent } from "@sse/protocol";
import type { Server } from "bun";
import { type Access, requireSubscribe } from "./auth/access.ts";
import { problem, Refusal } from "./problem.ts";
import { queryOf, readQuery, remembering } from "./query.ts";

/** The topic of streams that ask for none. */
export const DEFAULT_TOPIC = "default";

const PARAMETERS = ["topic", "lastEventId", "replay", "lag"];
/** The ticket was used before this is read; where nobody has to authenticate there is none. */
const PARAMETERS_WITH_TICKET = [...PARAMETERS, "ticket"];

/**
 * `no-transform` and `x-accel-buffering` keep proxies from holding events back. `connection: close`, because Bun keeps
 * `timeout(request, 0)` on a socket that is reused, which would then never time out. `transfer-encoding` must not be set:
 * Elysia would read such a stream and write it anew.
 */
export const STREAM_HEADERS = Object.freeze({
  "content-type": CONTENT_TYPE,
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  connection: "close",
});

const parseQuery = remembering((text) => readStreamQuery(text, PARAMETERS));

function readStreamQuery(text: string, parameters: readonly string[]): StreamRequest {
  const query = readQuery(text, parameters, ["topic"]);
  const wanted = query.getAll("topic");
  return {
    topics: wanted.length > 0 ? wanted : [DEFAULT_TOPIC],
    lastEventId: query.get("lastEventId") ?? "",
    replay: parseReplay(query.get("replay")),
    lag: (query.get("lag") ?? undefined) as LagPolicy | undefined, // the hub checks it
  };
}

/** @throws Refusal 401 or 403 for what may not be read */
function streamRequest(
  request: Request,
  only: readonly string[] | undefined,
  access: Access | undefined,
): StreamRequest {
  const query = queryOf(request.url);
  // A ticket is no one's to remember, and makes each query another one.
  const hasTicket = access?.isAnonymous === false && query.includes("ticket=");
  const asks = hasTicket ? readStreamQuery(query, PARAMETERS_WITH_TICKET) : parseQuery(query);
  const lastEventId = request.headers.get("last-event-id") || asks.lastEventId;
  const topics = only ?? asks.topics;
  const wanted = { topics, lastEventId, replay: asks.replay, lag: asks.lag };
  if (access === undefined) return wanted;
  requireSubscribe(access, topics);
  return access.expires === null ? wanted : { ...wanted, expiresIn: access.expires - Date.now() };
}

/** Made once: Bun copies it for less than it takes to read an object. */
const STREAM: ResponseInit = { headers: new Headers(STREAM_HEADERS) };

function parseReplay(text: string | null): "all" | number | undefined {
  if (text === null) return undefined;
  if (text === "all") return "all";
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new Refusal(400, `replay is "all" or a whole number, not ${JSON.stringify(text.slice(0, 32))}`);
}

/**
 * `GET /events`: the stream, or 204 for a client that has had all there will ever be.
 *
 * @param topics what the stream is of; default: what the query asks for
 * @param access what may be read; default: everything
 * @throws Refusal 401 or 403 for what may not be read, whether or not there is any of it
 */
export function events(
  hub: Hub,
  request: Request,
  server: Server<unknown> | null,
  topics?: readonly string[],
  access?: Access,
): MaybePromise<Response> {
  const wanted = streamRequest(request, topics, access);
  if (hub.closing) return comeBackLater(request, "drain", "the server is shutting down; connect again later");
  const begin = (start: Start): Response => {
    if (start.over) return new Response(null, { status: 204 });
    server?.timeout(request, 0);
    return new Response(streamBody(hub, wanted, start), STREAM);
  };
  const start = hub.locate(wanted);
  if (!(start instanceof Promise)) return begin(start);
  return start.then(begin, (error: unknown) => {
    if (!(error instanceof HubError) || error.code !== "log-failed") throw error;
    return comeBackLater(request, "overload", error.message);
  });
}

function streamBody(hub: Hub, wanted: StreamRequest, start: Start): ReadableStream<Uint8Array> {
  return directStream((sink) => hub.subscribe({ ...wanted, start, sink }));
}

/**
 * An EventSource dies for good on any status but 200 (WHATWG HTML 9.2.3), so it is sent away in the stream; other
 * clients understand 503.
 */
function comeBackLater(request: Request, reason: "drain" | "overload", why: string): Response {
  if (request.headers.get("accept") !== CONTENT_TYPE) return problem(503, why);
  const retry = Math.round(1000 + Math.random() * 4000);
  const closing = encodeEvent({
    event: "sse:closing",
    retry,
    data: JSON.stringify({ reason, retry }),
  });
  return new Response(closing, { headers: STREAM_HEADERS });
}
