import { HubError, type HubErrorCode } from "@sse/hub";

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

export type ProblemStatus = keyof typeof TITLES;

/** A refusal, thrown on the way to a handler's answer; becomes a {@link problem} response. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: ProblemStatus;
  readonly headers: Readonly<Record<string, string>>;

  /**
   * @param detail what was wrong, and what to do about it
   * @param headers of the answer
   */
  constructor(status: ProblemStatus, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail);
    this.status = status;
    this.headers = headers;
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
  closed: 503,
};

/** The answer to an error of the hub, a {@link Refusal}, or something that should not have happened. */
export function problemOf(error: unknown): Response {
  if (error instanceof HubError) return problem(STATUS_OF[error.code], error.message);
  if (error instanceof Refusal) return problem(error.status, error.message, error.headers);
  console.error(error);
  return problem(500, "the server failed to handle this request; its log says why");
}
