import { asComments, HubError, type HubErrorCode } from "@sse/hub";
import { CONTENT_TYPE, encodeEvent } from "@sse/protocol";
import type { Admission } from "../admission.ts";
import { headerCursor, queryCursor } from "../request/last-event-id.ts";
import { LAST_ANSWER, problem, type ProblemStatus, Refusal, type RefusalReason } from "./problem.ts";
import { lastValue, queryOf } from "../request/query.ts";
import { STREAM_HEADERS } from "./stream-headers.ts";

const STATUS_OF: Record<HubErrorCode, ProblemStatus> = {
  "bad-topic": 400,
  "bad-selector": 400,
  "bad-event": 400,
  "bad-request": 400,
  "too-large": 413,
  "log-failed": 503,
  "log-unanswered": 503,
  "too-many-streams": 503,
  "too-many-streams-of-topic": 503,
  "too-many-streams-of-address": 429,
  "too-many-streams-of-principal": 429,
  "too-many-drains": 429,
  closed: 503,
};

/**
 * Answers what a handler has thrown: an error of the hub, a {@link Refusal}, or something that should not have happened.
 * For `onError` of an app.
 */
export function answerErrors(admission: Admission): (context: { error: unknown }) => Response {
  return ({ error }) => {
    const refusal = refusalOf(error);
    if (refusal === null) {
      admission.onError(error);
      return problem(500, "the server failed to handle this request; its log says why");
    }
    const { status, message, headers, reason } = refusal;
    admission.onRefused(reason);
    return problem(status, message, headers);
  };
}

function refusalOf(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error;
  if (!(error instanceof HubError)) return null;
  const headers = error.code === "closed" ? LAST_ANSWER : {};
  return new Refusal(STATUS_OF[error.code], error.message, headers, error.code);
}

/**
 * Answers a request of a stream that may not be opened now. An EventSource dies for good on any status but 200 (WHATWG HTML
 * 9.2.3), so it is told in a stream; other clients understand 429 and 503. Not in `onError`, where Elysia gives an answer of
 * 200 the error's status.
 *
 * @throws the error, for {@link answerErrors}, when that is not what it is, or the client takes other answers too
 */
export function refuseInStream(admission: Admission, request: Request, error: unknown): Response {
  const refusal = refusalOf(error);
  const isTemporary = refusal?.status === 429 || refusal?.status === 503;
  if (!isTemporary || request.headers.get("accept") !== CONTENT_TYPE) throw error;
  admission.onRefused(refusal.reason);
  return new Response(closing(admission, request, refusal.reason), { headers: STREAM_HEADERS });
}

/**
 * What a client is told in a stream that is not opened. Its id is the cursor that came with the request: clients that take
 * the last event's id would otherwise come back without one, and miss what they were behind.
 */
function closing({ hub }: Admission, request: Request, reason: RefusalReason): string {
  const retry = hub.returnTime();
  const data = JSON.stringify({ reason: reason === "closed" ? "drain" : "overload", retry });
  const query = new URLSearchParams(queryOf(request.url));
  const text = encodeEvent({ event: "sse:closing", retry, id: safeCursor(request, query), data });
  return lastValue(query, "control") === "comment" ? asComments(text) : text;
}

/** Printable ASCII survives any header; what else a request may bring (a line end in a query) never was an id of ours. */
const SAFE_ID = /^[\x20-\x7e]{1,128}$/;

function safeCursor(request: Request, query: URLSearchParams): string | undefined {
  const id = headerCursor(request) || queryCursor(query);
  return SAFE_ID.test(id) ? id : undefined;
}
