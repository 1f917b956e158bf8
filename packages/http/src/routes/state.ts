import type { MaybePromise } from "@sse/hub";
import type { Admission } from "../admission.ts";
import { jsonAnswer } from "../answers/json.ts";
import { LAST_ANSWER, problem } from "../answers/problem.ts";
import { type Authorize, requireAdmin, withAccess } from "../auth/access.ts";
import { requireKnownOrigin } from "../request/origin.ts";

/** `GET /healthz`: the process answers. */
export function healthz(): Response {
  return jsonAnswer({ status: "up" });
}

/** `GET /readyz`: 503 while it shuts down, takes no new streams, or its log cannot keep events. */
export function readyz({ hub, overload }: Admission): Response {
  const fault = hub.closing ? "the server is shutting down" : (hub.fault ?? overload()?.detail ?? null);
  if (fault === null) return jsonAnswer({ status: "ready" });
  return problem(503, fault, hub.closing ? LAST_ANSWER : {});
}

/** Streams that `/stats` names. */
const SLOWEST = 10;
const started = performance.now();

/**
 * `GET /stats`: the state of the hub.
 *
 * @throws Refusal 401 or 403
 */
export function stats(
  { hub }: Admission,
  request: Request,
  { authorize, origins }: { authorize?: Authorize | undefined; origins: readonly string[] },
): MaybePromise<Response> {
  return withAccess(authorize, request, (access) => {
    requireKnownOrigin(request, origins);
    if (access !== undefined) requireAdmin(access);
    return jsonAnswer({
      uptime: Math.round((performance.now() - started) / 1000),
      ...hub.stats(),
      slowest: hub.slowest(SLOWEST),
    });
  });
}
