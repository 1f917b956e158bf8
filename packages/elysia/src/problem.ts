import { HubError, type HubErrorCode } from "@sse/hub";
import { CONTENT_TYPE, encodeEvent } from "@sse/protocol";
import type { Admission } from "./admission.ts";

const TITLES = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  421: "Misdirected Request",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

/** The statuses that a request can be refused with. */
export type ProblemStatus = keyof typeof TITLES;

/** Why requests are refused, for metrics: a closed set. */
export type RefusalReason =
  | HubErrorCode
  | "unauthorized"
  | "forbidden"
  | "media-type"
  | "misdirected"
  | "publish-rate"
  | "tickets"
  | "jobs"
  | "keys"
  | "descriptors"
  | "memory"
  | "lag"
  | "other";

/** Of those refusals that say no more than their status. */
const REASONS: Partial<Record<ProblemStatus, RefusalReason>> = {
  400: "bad-request",
  401: "unauthorized",
  403: "forbidden",
  413: "too-large",
  415: "media-type",
  421: "misdirected",
};

/** A refusal, thrown on the way to a handler's answer; becomes a {@link problem} response. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  /** Of the answer. */
  readonly status: ProblemStatus;
  /** Of the answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** What it is counted as. */
  readonly reason: RefusalReason;

  /**
   * @param detail what was wrong, and what to do about it
   * @param headers of the answer
   * @param reason default: what the status says
   */
  constructor(
    status: ProblemStatus,
    detail: string,
    headers: Readonly<Record<string, string>> = {},
    reason: RefusalReason = REASONS[status] ?? "other",
  ) {
    super(detail);
    this.status = status;
    this.headers = headers;
    this.reason = reason;
  }
}

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

/** How long to wait after a 503 or 429, in seconds. */
const RETRY_AFTER = "5";

/** An error as `application/problem+json` (RFC 9457). 429 and 503 carry `Retry-After`. */
export function problem(
  status: ProblemStatus,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const wait = status === 429 || status === 503 ? { "retry-after": RETRY_AFTER } : {};
  return new Response(`${JSON.stringify({ status, title: TITLES[status], detail })}\n`, {
    status,
    headers: { "content-type": "application/problem+json", ...wait, ...headers },
  });
}

const STATUS_OF: Record<HubErrorCode, ProblemStatus> = {
  "bad-topic": 400,
  "bad-selector": 400,
  "bad-event": 400,
  "bad-request": 400,
  "too-large": 413,
  "log-failed": 503,
  "too-many-streams": 503,
  "too-many-streams-of-topic": 503,
  "too-many-streams-of-address": 429,
  "too-many-streams-of-principal": 429,
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
      console.error(error);
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
  return new Refusal(STATUS_OF[error.code], error.message, {}, error.code);
}

/**
 * Answers a request of a stream that may not be opened now. An EventSource dies for good on any status but 200 (WHATWG HTML
 * 9.2.3), so it is told in a stream; other clients understand 429 and 503. Not in `onError`, where Elysia gives an answer of
 * 200 the error's status.
 *
 * @throws the error, for {@link answerErrors}, when that is not what it is, or the client takes other answers too
 */
export function sendAway(admission: Admission, request: Request, error: unknown): Response {
  const refusal = refusalOf(error);
  const isTemporary = refusal?.status === 429 || refusal?.status === 503;
  if (!isTemporary || request.headers.get("accept") !== CONTENT_TYPE) throw error;
  admission.onRefused(refusal.reason);
  return new Response(closing(admission, refusal.reason), { headers: STREAM_HEADERS });
}

/** What a client is told in a stream that is not opened. */
export function closing({ hub }: Admission, reason: RefusalReason): string {
  const retry = hub.returnTime();
  const data = JSON.stringify({ reason: reason === "closed" ? "drain" : "overload", retry });
  return encodeEvent({ event: "sse:closing", retry, data });
}
