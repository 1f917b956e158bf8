import type { Hub, LagPolicy, MaybePromise, Opening, StreamRequest } from "@sse/hub";
import { emptyAnswer } from "../answers/json.ts";
import type { Admission } from "../admission.ts";
import { type Access, type Authorize, requireSubscribe, withAccess } from "../auth/access.ts";
import { headerCursor, queryCursor } from "../request/last-event-id.ts";
import { memoiseLast } from "../request/memoise-last.ts";
import { Refusal } from "../answers/problem.ts";
import { lastValue, queryOf, readQuery } from "../request/query.ts";
import { refuseInStream } from "../answers/refuse.ts";
import { type RequestContext, respond } from "../context.ts";
import { STREAM_HEADERS } from "../answers/stream-headers.ts";
import { traceSubscribe } from "../tracing.ts";

/** The topic of streams that ask for none. */
export const DEFAULT_TOPIC = "default";

/** What a stream is of, and who may read it. */
export interface StreamOptions {
  /** What may be read; default: everything. */
  authorize?: Authorize | undefined;
  /** What the stream is of; default: what the query asks for. */
  topics?: readonly string[];
  /** A namespace of the admission's hub that it is of; default: the hub. */
  namespace?: Hub;
}

/** The ticket was used before this is read. */
const PARAMETERS = ["topic", "lastEventId", "replay", "lag", "envelope", "control", "ticket"];

const readLastQuery = memoiseLast(readStreamQuery);

function readStreamQuery(text: string): StreamRequest {
  const query = readQuery(text, PARAMETERS);
  const wanted = query.getAll("topic");
  return {
    topics: wanted.length > 0 ? wanted : [DEFAULT_TOPIC],
    lastEventId: queryCursor(query),
    replay: parseReplay(lastValue(query, "replay")),
    // The hub checks these.
    lag: (lastValue(query, "lag") ?? undefined) as LagPolicy | undefined,
    envelope: (lastValue(query, "envelope") ?? undefined) as StreamRequest["envelope"],
    control: (lastValue(query, "control") ?? undefined) as StreamRequest["control"],
  };
}

/** @throws Refusal 401 or 403 for what may not be read */
function streamRequest(
  request: Request,
  only: readonly string[] | undefined,
  access: Access | undefined,
): StreamRequest {
  const query = queryOf(request.url);
  // A ticket is a secret, and makes each query another one.
  const asks = query.includes("ticket=") ? readStreamQuery(query) : readLastQuery(query);
  const lastEventId = headerCursor(request) || asks.lastEventId;
  const topics = only ?? asks.topics;
  const { replay, lag, envelope, control } = asks;
  const wanted = { topics, lastEventId, replay, lag, envelope, control };
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
 * `GET /events`: the stream, 204 for a client that has had all there will ever be, or, to an EventSource for which there is
 * no room now, when to come back.
 *
 * @throws Refusal 401 or 403 for what may not be read, whether or not there is any of it. HubError or Refusal when there is
 *   no room, or the log cannot be asked where the stream begins
 */
export function openStream(
  admission: Admission,
  request: Request,
  context: RequestContext,
  options: StreamOptions = {},
): MaybePromise<Response> {
  try {
    admission.requireRoom();
    const answer = withAccess(options.authorize, request, (access) =>
      open(admission, request, context, access, options),
    );
    if (!(answer instanceof Promise)) return answer;
    return answer.catch((error: unknown) => refuseInStream(admission, request, error));
  } catch (error) {
    return refuseInStream(admission, request, error);
  }
}

function open(
  admission: Admission,
  request: Request,
  context: RequestContext,
  access: Access | undefined,
  { topics, namespace = admission.hub }: StreamOptions,
): MaybePromise<Response> {
  const wanted = {
    ...streamRequest(request, topics, access),
    ...admission.quotaKeys(request, context, access),
    // Bun makes it when it is asked for, which most streams never do.
    get signal() {
      return request.signal;
    },
  };
  const answer = (opening: Opening): Response => {
    if (opening.over) return emptyAnswer();
    if (request.method !== "HEAD")
      return context.respond?.(opening, STREAM) ?? respond(request, opening, STREAM);
    opening.cancel();
    return new Response(null, STREAM);
  };
  const opening = traceSubscribe(request, wanted, () => namespace.open(wanted));
  return opening instanceof Promise ? opening.then(answer) : answer(opening);
}
