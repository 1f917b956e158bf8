import { Elysia } from "elysia";
import { jsonAnswer } from "./answers.ts";
import type { Admission } from "./admission.ts";
import { type Authorize, withAccess } from "./auth/access.ts";
import type { Tickets } from "./auth/tickets.ts";
import { requireKnownOrigin } from "./origin.ts";
import { otherMethods } from "./other-methods.ts";
import { OTHER_METHODS, TICKETS } from "./openapi.ts";
import { answerErrors } from "./refuse.ts";
import { queryOf, readQuery } from "./query.ts";

/** Tickets are secrets, and not to be kept by whatever lies between. */
const HEADERS = { "cache-control": "no-store" };

/** `POST /tickets`: a ticket that may what the request's token may. */
export function ticketRoutes(
  admission: Admission,
  { authorize, tickets, origins }: { authorize: Authorize; tickets: Tickets; origins: readonly string[] },
) {
  return new Elysia({ name: "@sse/elysia/tickets" })
    .onError(answerErrors(admission))
    .post(
      "/tickets",
      ({ request }) => {
        readQuery(queryOf(request.url), [], ["ticket"]); // a ticket must not buy another one
        return withAccess(authorize, request, (access) => {
          requireKnownOrigin(request, origins);
          const { ticket, expires } = tickets.issue(access!);
          const body = { ticket, expires: new Date(expires).toISOString() };
          return jsonAnswer(body, HEADERS);
        });
      },
      { parse: "none", detail: TICKETS },
    )
    .all("/tickets", otherMethods("POST, OPTIONS"), OTHER_METHODS);
}
