import type { Hub, MaybePromise } from "@sse/hub";
import { Admission } from "./admission.ts";
import { problem } from "./answers/problem.ts";
import { answerErrors } from "./answers/refuse.ts";
import type { Authorize } from "./auth/access.ts";
import type { Tickets } from "./auth/tickets.ts";
import { contextOf, type RequestContext, type ServerContext } from "./context.ts";
import { Cors } from "./cors.ts";
import { isHost } from "./request/host.ts";
import { RequestBodies } from "./request/request-bodies.ts";
import { drain } from "./routes/drain.ts";
import { otherMethods } from "./routes/other-methods.ts";
import { publish } from "./routes/publish.ts";
import { healthz, readyz, stats } from "./routes/state.ts";
import { openStream } from "./routes/stream.ts";
import { issueTicket } from "./routes/tickets.ts";

/** What is served, and to whom. */
export interface SseOptions {
  /** Whose events it serves; a hub of any topics. */
  hub: Hub;
  /** What bounds the bodies of requests; an app that reads others shares it. Default: one with its defaults. */
  bodies?: RequestBodies | undefined;
  /**
   * Origins whose pages may publish and see the state, as `https://example.com`, besides the server's own; default none.
   */
  origins?: readonly string[];
  /**
   * What a request may do; default: everything. {@link createAuthorize} makes one of tokens, tickets and cookies; an app
   * with sessions of its own brings its own, as `({ headers }) => accessOf({ subscribe: [`users/${userOf(headers)}`] })`.
   */
  authorize?: Authorize | undefined;
  /** Those of {@link createAuthorize}: adds `POST /tickets`; default: there are none. */
  tickets?: Tickets | undefined;
  /** Of the same hub: rates, trusted proxies, overload; default: one without any of them. */
  admission?: Admission | undefined;
}

/** Where the routes of a {@link Handler} are. */
export interface HandlerOptions extends SseOptions {
  /** What the paths begin with, as `/sse`; default: nothing. */
  basePath?: string;
  /** Header fields that pages of `origins` may send besides those of the contract, as `X-User`; default none. */
  corsHeaders?: readonly string[];
}

/** Answers a request; never throws, and never rejects. */
export interface Handler {
  /** @param context what the server hands over besides the request, as it is; default: nothing */
  (request: Request, context?: ServerContext): MaybePromise<Response>;
  /** Whether a path is one of its own, whatever the method. Others are answered 404. */
  has(path: string): boolean;
}

type Route = (request: Request, context: RequestContext) => MaybePromise<Response>;

/**
 * The HTTP contract as a function of a request, for whatever speaks Fetch: `Bun.serve({ fetch: createHandler({ hub }) })`,
 * `Deno.serve(createHandler({ hub }))`; `toNodeListener` makes one for `node:http` of it.
 *
 * Routes: `GET /events`, `POST /publish`, `GET /healthz`, `GET /readyz`, `GET /stats`, `POST /drain`, and `POST /tickets` where there
 * are any. Whatever is wrong with a request is answered as `application/problem+json` (RFC 9457).
 */
export function createHandler({
  hub,
  bodies = new RequestBodies(),
  origins = [],
  authorize,
  tickets,
  admission = new Admission(hub),
  basePath = "",
  corsHeaders = [],
}: HandlerOptions): Handler {
  if (!/^(\/[^/?#]+)*$/.test(basePath))
    throw new TypeError(`basePath ${JSON.stringify(basePath)} must be like /sse, or empty`);
  const options = { authorize, bodies, origins };
  const cors = new Cors(origins, corsHeaders);
  const routes = new Map<string, { method: string; route: Route }>();
  const add = (method: "GET" | "POST", path: string, route: Route): void => {
    routes.set(basePath + path, { method, route });
  };
  add("GET", "/events", (request, context) => openStream(admission, request, context, options));
  add("POST", "/publish", (request, context) => publish(admission, request, context, options));
  add("GET", "/healthz", healthz);
  add("GET", "/readyz", () => readyz(admission));
  add("GET", "/stats", (request) => stats(admission, request, options));
  add("POST", "/drain", (request) => drain(hub, request, options));
  if (authorize !== undefined && tickets !== undefined)
    add("POST", "/tickets", (request) => issueTicket(request, { authorize, tickets, origins }));

  const answerError = answerErrors(admission);
  const fail = (error: unknown): Response => answerError({ error });
  const answer = (request: Request, given: ServerContext): MaybePromise<Response> => {
    if (!isHost(request.headers.get("host") ?? "")) return problem(400, "the Host of the request is none");
    const path = pathOf(request.url);
    const found = routes.get(path);
    if (found === undefined) return problem(404, `there is nothing at ${path.slice(0, 256)}`);
    if ((request.method === "HEAD" ? "GET" : request.method) !== found.method) {
      const allow = found.method === "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
      return cors.answerPreflight(request, allow) ?? otherMethods(allow)({ request });
    }
    try {
      const response = found.route(request, contextOf(request, given));
      return response instanceof Promise ? response.catch(fail) : response;
    } catch (error) {
      return fail(error);
    }
  };
  const handle = (request: Request, given?: ServerContext): MaybePromise<Response> => {
    const response = answer(request, given);
    if (origins.length === 0) return response;
    return response instanceof Promise
      ? response.then((each) => cors.allow(request, each))
      : cors.allow(request, response);
  };
  return Object.assign(handle, { has: (path: string) => routes.has(path) });
}

/** Read from the text of the URL, for less than it costs to parse it. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1) return "/";
  const end = url.slice(start).search(/[?#]/);
  return end === -1 ? url.slice(start) : url.slice(start, start + end);
}
