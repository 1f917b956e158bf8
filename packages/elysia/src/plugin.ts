import {
  Admission,
  answerErrors,
  contextOf,
  drain,
  healthz,
  issueTicket,
  openStream,
  otherMethods,
  publish,
  readyz,
  RequestBodies,
  type SseOptions,
  stats,
  UNKNOWN,
} from "@sse/http";
import { Elysia } from "elysia";
import { DRAIN, EVENTS, HEALTHZ, OTHER_METHODS, PUBLISH, READYZ, STATS, TICKETS } from "./openapi.ts";

/**
 * The HTTP contract as an Elysia plugin: `new Elysia().use(sse({ hub }))`. It has the routes of `createHandler` of `@sse/http`,
 * which describe themselves for OpenAPI, in groups and beside hooks of Elysia's.
 *
 * Cross-origin requests are `@elysiajs/cors`'s.
 */
export function sse({
  hub,
  bodies = new RequestBodies(),
  origins = [],
  authorize,
  tickets,
  admission = new Admission(hub),
}: SseOptions) {
  const read = otherMethods("GET, HEAD, OPTIONS");
  const write = otherMethods("POST, OPTIONS");
  const options = { authorize, bodies, origins };
  const app = new Elysia({ name: "@sse/elysia" })
    .onError(answerErrors(admission))
    .get(
      "/events",
      ({ request, server }) => openStream(admission, request, contextOf(request, server), { authorize }),
      { detail: EVENTS },
    )
    .all("/events", read, OTHER_METHODS)
    .post(
      "/publish",
      // For a handler that asks for its server, Elysia defines it anew for each request.
      admission.countsEvents
        ? ({ request, server }) => publish(admission, request, contextOf(request, server), options)
        : ({ request }) => publish(admission, request, UNKNOWN, options),
      { parse: "none", detail: PUBLISH },
    )
    .all("/publish", write, OTHER_METHODS)
    .get("/healthz", () => healthz(), { detail: HEALTHZ })
    .all("/healthz", read, OTHER_METHODS)
    .get("/readyz", () => readyz(admission), { detail: READYZ })
    .all("/readyz", read, OTHER_METHODS)
    .get("/stats", ({ request }) => stats(admission, request, options), { detail: STATS })
    .all("/stats", read, OTHER_METHODS)
    .post("/drain", ({ request }) => drain(hub, request, options), { parse: "none", detail: DRAIN })
    .all("/drain", write, OTHER_METHODS);
  if (authorize !== undefined && tickets !== undefined) {
    app
      .post("/tickets", ({ request }) => issueTicket(request, { authorize, tickets, origins }), {
        parse: "none",
        detail: TICKETS,
      })
      .all("/tickets", write, OTHER_METHODS);
  }
  return app;
}
