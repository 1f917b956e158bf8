/**
 * Why there is no stream.
 *
 * - `network`: no connection, or it broke; also what a browser hides the reason of (CORS, a redirect loop)
 * - `ended`: the server ended the stream
 * - `silent`: nothing came for `maxSilence`
 * - `status`: the answer was not 200
 * - `content-type`: the answer was not `text/event-stream`
 * - `headers`: the function given as `headers` or `body` failed
 * - `event-too-large`: an event was larger than `maxEventBytes`
 */
export type FailureCode =
  "network" | "ended" | "silent" | "status" | "content-type" | "headers" | "event-too-large";

/** Why there is no stream, and when there will be one again. */
export interface Failure {
  /** What went wrong. */
  readonly code: FailureCode;
  /** Of the answer; null when there was none. */
  readonly status: number | null;
  /** What was thrown, if something was. */
  readonly cause?: unknown;
  /** Milliseconds until the next attempt; null when there will be none, and `readyState` is `CLOSED`. */
  readonly retryIn: number | null;
}

/** The `error` event: the standard's, and why it was fired. */
export class EventSourceErrorEvent extends Event implements Failure {
  readonly code: FailureCode;
  readonly status: number | null;
  readonly cause: unknown;
  readonly retryIn: number | null;

  constructor({ code, status, cause, retryIn }: Failure) {
    super("error");
    this.code = code;
    this.status = status;
    this.cause = cause;
    this.retryIn = retryIn;
  }
}
