/**
 * What a caller can do wrong, as a closed set:
 * - `bad-topic`, `bad-selector`, `bad-event`, `bad-request`: the value was refused, nothing was published or opened.
 * - `too-large`: the event is over `maxEventBytes`.
 * - `closed`: the hub is closing or closed; try another node, or this one when it is back.
 */
export type HubErrorCode =
  "bad-topic" | "bad-selector" | "bad-event" | "bad-request" | "too-large" | "closed";

/** An error whose message tells the caller what was wrong, where, and what to do. */
export class HubError extends Error {
  override readonly name = "HubError";
  readonly code: HubErrorCode;

  constructor(code: HubErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
