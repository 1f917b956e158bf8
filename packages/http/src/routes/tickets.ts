import type { MaybePromise } from "@sse/hub";
import { jsonAnswer } from "../answers/json.ts";
import { type Authorize, withAccess } from "../auth/access.ts";
import type { Tickets } from "../auth/tickets.ts";
import { requireKnownOrigin } from "../request/origin.ts";
import { queryOf, readQuery } from "../request/query.ts";

/** Tickets are secrets, and not to be kept by whatever lies between. */
const HEADERS = { "cache-control": "no-store" };

/**
 * `POST /tickets`: a ticket that may what the request's token may.
 *
 * @throws Refusal 400, 401, 403, or 429 for too many
 */
export function issueTicket(
  request: Request,
  { authorize, tickets, origins }: { authorize: Authorize; tickets: Tickets; origins: readonly string[] },
): MaybePromise<Response> {
  readQuery(queryOf(request.url), [], ["ticket"]); // a ticket must not buy another one
  return withAccess(authorize, request, (access) => {
    requireKnownOrigin(request, origins);
    const { ticket, expires } = tickets.issue(access!);
    return jsonAnswer({ ticket, expires: new Date(expires).toISOString() }, HEADERS);
  });
}
