/** An error whose message tells the caller what was wrong, where, and what to do. */
export class HubError extends Error {
  override readonly name = "HubError";
  /** What kind of refusal it is. */
  readonly code: HubErrorCode;

  constructor(code: HubErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Why the hub refuses, as a closed set:
 * - `bad-topic`, `bad-selector`, `bad-event`, `bad-request`: the value was refused, nothing was published or opened.
 * - `too-large`: the event is over `maxEventBytes`.
 * - `log-failed`: the log could not keep the events, for the reason in the message. Nothing of them was published.
 * - `log-unanswered`: the log did not answer in time. The events may have been published: publish again, with the same ids.
 * - `too-many-streams`, and with what of: a limit of streams is reached, and this one was not opened.
 * - `too-many-drains`: as many as may be are at work already; none was begun.
 * - `closed`: the hub is closing or closed; try another node, or this one when it is back.
 */
export type HubErrorCode =
  | "bad-topic"
  | "bad-selector"
  | "bad-event"
  | "bad-request"
  | "too-large"
  | "log-failed"
  | "log-unanswered"
  | "too-many-streams"
  | "too-many-streams-of-address"
  | "too-many-streams-of-principal"
  | "too-many-streams-of-topic"
  | "too-many-drains"
  | "closed";
