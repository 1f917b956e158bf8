import type { Cohort } from "../deliver/cohort.ts";
import type { ClosingReason } from "../control-events.ts";
import type { Cursor, EventId } from "../log/event-id.ts";
import { type Quota, NOBODY } from "./quotas.ts";
import type { Sink } from "../sinks/sink.ts";

/**
 * - `opening`: where it begins is being looked for; nothing was written yet
 * - `catching-up`: reads the log, slice by slice
 * - `live`: has had all that its cohort was sent, and is sent the cohort's next frame
 * - `blocked`: its last frame is on its way; the reader is behind
 * - `closed`: for good
 */
export type StreamState = "opening" | "catching-up" | "live" | "blocked" | "closed";

/**
 * What a stream is given after it fell behind: everything it missed (`catch-up`), per topic and key the newest event of
 * what it missed (`latest`), or its end (`disconnect`).
 */
export type LagPolicy = "catch-up" | "latest" | "disconnect";

/** Why a stream has closed: the client left, all topics have ended, the sink or the log failed, or the hub closed it. */
export type CloseReason = "client" | "ended" | "error" | ClosingReason;

/** One open SSE response: a cursor over the log, a set of selectors (its cohort's), a sink. It owns no queue. */
export class Stream {
  /** The streams with the same selectors. */
  readonly cohort: Cohort;
  /** What it is given after it fell behind. */
  readonly lag: LagPolicy;
  /** Where its bytes go. */
  readonly sink: Sink;
  /** When it was opened, by the hub's clock. */
  readonly opened: number;
  /** When it has to end, by the hub's clock, and what for. */
  until = Infinity;
  /** What `until` is for. */
  endsBy: "auth-expired" | "max-age" = "auth-expired";
  /** What it has to give back when it is forgotten. */
  holders: readonly Quota[] = NOBODY;
  /** What it is doing. */
  state: StreamState = "opening";
  /** The last event that it was given, or need not be given. While `live` its cohort knows more: `coveredFor`. */
  cursor: Cursor = 0;
  /** What it had been given when the log began a new life, until it is told so: before anything of the new one. */
  lost: EventId | null = null;
  /** Events and bytes that its sink took; while it is `live`, without what its cohort was sent. */
  events = 0;
  /** See `events`. */
  bytes = 0;
  /** By the hub's clock; frames of its cohort aside. */
  lastWrite: number;
  /** When it became `blocked`, by the hub's clock. */
  blockedSince = 0;
  /** True once it fell behind from `live`: what it missed then is subject to `disconnect`. */
  fellBehind = false;
  /** Its places in the hub's list of streams and in its cohort's. */
  place = -1;
  /** See `place`. */
  livePlace = -1;
  readonly #onGone: (stream: Stream) => void;

  constructor(cohort: Cohort, lag: LagPolicy, sink: Sink, now: number, onGone: (stream: Stream) => void) {
    this.cohort = cohort;
    this.lag = lag;
    this.sink = sink;
    this.opened = now;
    this.lastWrite = now;
    this.#onGone = onGone;
  }

  /** Tells the hub that the client has gone. */
  gone(): void {
    this.#onGone(this);
  }
}
