import { directStream, type Hub, type LagPolicy, type Start, type StreamRequest } from "@sse/hub";
import { CONTENT_TYPE, encodeEvent } from "@sse/protocol";
import type { Server } from "bun";
import { problem, Refusal } from "./problem.ts";
import { readQuery } from "./query.ts";

/** The topic of streams that ask for none. */
export const DEFAULT_TOPIC = "default";

const PARAMETERS = ["topic", "lastEventId", "replay", "lag"];

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

function streamRequest(request: Request, topics: readonly string[] | undefined): StreamRequest {
  const query = readQuery(request, PARAMETERS, ["topic"]);
  const wanted = query.getAll("topic");
  return {
    topics: topics ?? (wanted.length > 0 ? wanted : [DEFAULT_TOPIC]),
    lastEventId: request.headers.get("last-event-id") || query.get("lastEventId") || "",
    replay: parseReplay(query.get("replay")),
    lag: (query.get("lag") ?? undefined) as LagPolicy | undefined, // the hub checks it
  };
}

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
 */
export async function events(
  hub: Hub,
  request: Request,
  server: Server<unknown> | null,
  topics?: readonly string[],
): Promise<Response> {
  const wanted = streamRequest(request, topics);
  if (hub.closing) return comeBackLater(request);
  const start = await hub.locate(wanted);
  if (start.over) return new Response(null, { status: 204 });
  server?.timeout(request, 0);
  return new Response(streamBody(hub, wanted, start), { headers: STREAM_HEADERS });
}

function streamBody(hub: Hub, wanted: StreamRequest, start: Start): ReadableStream<Uint8Array> {
  return directStream((sink) => hub.subscribe({ ...wanted, start, sink }).gone);
}

/**
 * An EventSource dies for good on any status but 200 (WHATWG HTML 9.2.3), so it is sent away in the stream; other
 * clients understand 503.
 */
function comeBackLater(request: Request): Response {
  if (request.headers.get("accept") !== CONTENT_TYPE) {
    return problem(503, "the server is shutting down; connect again later");
  }
  const retry = Math.round(1000 + Math.random() * 4000);
  const closing = encodeEvent({
    event: "sse:closing",
    retry,
    data: JSON.stringify({ reason: "drain", retry }),
  });
  return new Response(closing, { headers: STREAM_HEADERS });
}
