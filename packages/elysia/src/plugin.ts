import type { Hub } from "@sse/hub";
import { Elysia } from "elysia";
import { events } from "./events.ts";
import { problem, problemOf } from "./problem.ts";
import { publish } from "./publish.ts";

export interface SseOptions {
  hub: Hub;
  /** The most bytes in the body of a request; default 4 MiB. */
  maxBodyBytes?: number;
  /** Origins whose pages may publish, as `https://example.com`, besides the server's own; default none. */
  origins?: readonly string[];
}

/** Streams that `/stats` names. */
const SLOWEST = 10;

export const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Answers a method that a path does not know: 405 with the ones it does (RFC 9110, 15.5.6), and OPTIONS with just those. */
export function otherMethods(allow: string): (context: { request: Request }) => Response {
  return ({ request }) =>
    request.method === "OPTIONS"
      ? new Response(null, { status: 204, headers: { allow } })
      : problem(405, `${request.method} is not for this path; it knows ${allow}`, { allow });
}

/**
 * The hub as an Elysia plugin: `new Elysia().use(sse({ hub }))`.
 *
 * Routes: `GET /events`, `POST /publish`, `GET /healthz`, `GET /readyz`, `GET /stats`. Whatever is wrong with a request
 * is answered as `application/problem+json`. The app must be served by Bun: the streams are Bun's direct streams.
 */
export function sse({ hub, maxBodyBytes = MAX_BODY_BYTES, origins = [] }: SseOptions) {
  const started = performance.now();
  const read = otherMethods("GET, HEAD, OPTIONS");
  return new Elysia({ name: "@sse/elysia" })
    .onError(({ error }) => problemOf(error))
    .get("/events", ({ request, server }) => events(hub, request, server))
    .all("/events", read)
    .post("/publish", ({ request }) => publish(hub, request, { maxBodyBytes, origins }), { parse: "none" })
    .all("/publish", otherMethods("POST, OPTIONS"), { parse: "none" })
    .get("/healthz", () => Response.json({ status: "up" }))
    .all("/healthz", read)
    .get("/readyz", () => {
      const fault = hub.closing ? "the server is shutting down" : hub.fault;
      return fault === null ? Response.json({ status: "ready" }) : problem(503, fault);
    })
    .all("/readyz", read)
    .get("/stats", () =>
      Response.json({
        uptime: Math.round((performance.now() - started) / 1000),
        ...hub.stats(),
        slowest: hub.slowest(SLOWEST),
      }),
    )
    .all("/stats", read);
}
