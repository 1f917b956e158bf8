import type { HubErrorCode } from "@sse/hub";
import { NOSNIFF } from "./json.ts";

const TITLES = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
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
  | "body-timeout"
  | "bodies"
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
    headers: { ...NOSNIFF, "content-type": "application/problem+json", ...wait, ...headers },
  });
}

/** What comes next on the connection of a server that shuts down could be cut off; on a new one it is another server's. */
export const LAST_ANSWER = Object.freeze({ connection: "close" });
