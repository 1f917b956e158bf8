import type { Hub } from "@sse/hub";
import { Elysia } from "elysia";
import { jsonAnswer } from "./answers.ts";
import { Admission } from "./admission.ts";
import { type Authorize, requireAdmin, withAccess } from "./auth/access.ts";
import type { Tickets } from "./auth/tickets.ts";
import { drain } from "./drain.ts";
import { events } from "./events.ts";
import { otherMethods } from "./other-methods.ts";
import { DRAIN, EVENTS, HEALTHZ, OTHER_METHODS, PUBLISH, READYZ, STATS } from "./openapi.ts";
import { requireKnownOrigin } from "./origin.ts";
import { LAST_ANSWER, problem } from "./problem.ts";
import { publish } from "./publish.ts";
import { answerErrors } from "./refuse.ts";
import { RequestBodies } from "./request-bodies.ts";
import { ticketRoutes } from "./ticket-routes.ts";

/** What the plugin serves, and to whom. */
export interface SseOptions {
  /** Whose events it serves; a hub of any topics. */
  hub: Hub;
  /** What bounds the bodies of requests; an app that reads others shares it. Default: one with its defaults. */
  bodies?: RequestBodies | undefined;
  /** Origins whose pages may publish and see the state, as `https://example.com`, besides the server's own; default none. */
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

/** Streams that `/stats` names. */
const SLOWEST = 10;

/**
 * The hub as an Elysia plugin: `new Elysia().use(sse({ hub }))`.
 *
 * Routes: `GET /events`, `POST /publish`, `GET /healthz`, `GET /readyz`, `GET /stats`, `POST /drain`, and `POST /tickets` where there
 * are any. Whatever is wrong with a request is answered as `application/problem+json`. The app must be served by Bun: the
 * streams are Bun's direct streams.
 */
export function sse({
  hub,
  bodies = new RequestBodies(),
  origins = [],
  authorize,
  tickets,
  admission = new Admission(hub),
}: SseOptions) {
  const started = performance.now();
  const read = otherMethods("GET, HEAD, OPTIONS");
  const options = { authorize, bodies, origins };
  const app = new Elysia({ name: "@sse/elysia" })
    .onError(answerErrors(admission))
    .get("/events", ({ request, server }) => events(admission, request, server, { authorize }), {
      detail: EVENTS,
    })
    .all("/events", read, OTHER_METHODS)
    .post(
      "/publish",
      // For a handler that asks for its server, Elysia defines it anew for each request.
      admission.countsEvents
        ? ({ request, server }) => publish(admission, request, server, options)
        : ({ request }) => publish(admission, request, null, options),
      { parse: "none", detail: PUBLISH },
    )
    .all("/publish", otherMethods("POST, OPTIONS"), OTHER_METHODS)
    .get("/healthz", () => jsonAnswer({ status: "up" }), { detail: HEALTHZ })
    .all("/healthz", read, OTHER_METHODS)
    .get(
      "/readyz",
      () => {
        const fault = hub.closing
          ? "the server is shutting down"
          : (hub.fault ?? admission.overload()?.detail ?? null);
        if (fault === null) return jsonAnswer({ status: "ready" });
        return problem(503, fault, hub.closing ? LAST_ANSWER : {});
      },
      { detail: READYZ },
    )
    .all("/readyz", read, OTHER_METHODS)
    .get(
      "/stats",
      ({ request }) =>
        withAccess(authorize, request, (access) => {
          requireKnownOrigin(request, origins);
          if (access !== undefined) requireAdmin(access);
          return jsonAnswer({
            uptime: Math.round((performance.now() - started) / 1000),
            ...hub.stats(),
            slowest: hub.slowest(SLOWEST),
          });
        }),
      { detail: STATS },
    )
    .all("/stats", read, OTHER_METHODS)
    .post("/drain", ({ request }) => drain(hub, request, options), {
      parse: "none",
      detail: DRAIN,
    })
    .all("/drain", otherMethods("POST, OPTIONS"), OTHER_METHODS);
  if (authorize !== undefined && tickets !== undefined) {
    app.use(ticketRoutes(admission, { authorize, tickets, origins }));
  }
  return app;
}
