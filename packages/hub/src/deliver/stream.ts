import type { Clock } from "../clock.ts";
import type { CloseReason } from "../control-events.ts";
import type { Counters } from "../counters.ts";
import type { Cohort } from "./cohort.ts";
import type { Cursor, EventId } from "../log/event-id.ts";
import type { Position, PositionRequest } from "../log/event-log.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Quota } from "../subscribe/quotas.ts";
import type { LagPolicy } from "../subscribe/request.ts";

/** One open SSE response: a cursor over the log, a set of selectors (its cohort's), a sink. It owns no queue. */
export class Stream {
  /** The streams with the same selectors. */
  readonly cohort: Cohort<Stream>;
  /** What it is given after it fell behind. */
  readonly lag: LagPolicy;
  /** Quotas to release on close. */
  readonly quotas: readonly Quota[];
  /** When it was opened, by the hub's clock. */
  readonly opened: number;
  /** When it has to end, by the hub's clock, and what for. */
  until = Infinity;
  /** What `until` is for. */
  endsBy: "auth-expired" | "max-age" = "auth-expired";
  /** What it is doing. */
  state: StreamState = "opening";
  /** Where its bytes go; null until it is attached. */
  sink: Sink | null = null;
  /** Where it wants to begin; null once it has begun. */
  request: PositionRequest | null;
  /** Where it begins, from the log's answer until it has begun; null when that does not hold any more. */
  position: Position | null = null;
  /** The last event that it was given, or need not be given. While `live` its cohort knows more: `coveredFor`. */
  cursor: Cursor = 0;
  /** Not null: the log has changed under it, and is asked where it goes on after this id before anything is read. */
  lastEventId: EventId | null = null;
  /** The log's answer that it waits for, one at a time; any other answer is not for it any more. */
  awaited: Promise<unknown> | null = null;
  /** True while the log is asked where it begins, or goes on: its cohort remembers what comes meanwhile. */
  #asking = false;
  /** True while it stands in the queue of streams that read the log. */
  queued = false;
  /** True once it fell behind from `live`: what it missed then is subject to `disconnect`. */
  fellBehind = false;
  /** Events and bytes that its sink took; while it is `live`, without what its cohort was sent. */
  events = 0;
  /** See `events`. */
  bytes = 0;
  /** By the hub's clock; frames of its cohort aside. */
  lastWrite: number;
  /** When it became `blocked`, by the hub's clock. */
  blockedSince = 0;
  /** Its places in the hub's list of streams and in its cohort's. */
  place = -1;
  /** See `place`. */
  livePlace = -1;
  readonly #host: StreamHost;

  constructor(
    host: StreamHost,
    cohort: Cohort<Stream>,
    request: PositionRequest,
    lag: LagPolicy,
    quotas: readonly Quota[],
  ) {
    this.#host = host;
    this.cohort = cohort;
    this.request = request;
    this.lag = lag;
    this.quotas = quotas;
    this.opened = this.lastWrite = host.clock.now();
    cohort.members++;
    this.asks();
  }

  /** The log is asked where it begins, or goes on. */
  asks(): void {
    if (this.#asking) return;
    this.#asking = true;
    this.cohort.ask();
  }

  /** The log has answered; or the stream is closed, and nobody waits for that. */
  answered(): void {
    if (!this.#asking) return;
    this.#asking = false;
    this.cohort.answered();
  }

  /** Up to where it has had, or need not have, every event. */
  get covered(): Cursor {
    return this.state === "live" ? this.cohort.coveredFor(this, this.#host.head) : this.cursor;
  }

  /** Writes to the sink, as little else as possible: this is done for every stream and frame. True when it took it. */
  offer(bytes: Uint8Array, events: readonly StoredEvent[], cursor: Cursor): boolean {
    let result: number | Promise<unknown>;
    try {
      result = this.sink!.write(bytes, events);
    } catch (error) {
      this.#fail(error);
      return false;
    }
    if (this.state === "closed") {
      if (result instanceof Promise) result.catch(() => {});
      return false;
    }
    if (result === 0) {
      this.finish("client");
      return false;
    }
    this.cursor = cursor;
    if (typeof result !== "number") this.#block(result);
    return true;
  }

  /** What throws need not have closed the connection: left open, its reader would wait for ever. */
  #fail(error: unknown): void {
    this.finish("error");
    this.#host.report(error);
    try {
      this.sink!.abort("error");
    } catch {
      // It was reported already that the sink is broken.
    }
  }

  /** Writes what is for this stream alone. True when it can take more. */
  write(bytes: Uint8Array, events: readonly StoredEvent[], cursor: Cursor): boolean {
    const { clock, counters } = this.#host;
    this.lastWrite = clock.now();
    if (!this.offer(bytes, events, cursor)) return false;
    this.events += events.length;
    this.bytes += bytes.byteLength;
    counters.deliveries += events.length;
    counters.bytes += bytes.byteLength;
    return this.state !== "blocked";
  }

  #block(written: Promise<unknown>): void {
    if (this.state === "live") this.fellBehind = true;
    this.leaveCohort();
    this.state = "blocked";
    this.blockedSince = this.#host.clock.now();
    const goOn = (): void => {
      if (this.state !== "blocked") return;
      this.state = "catching-up";
      this.#host.unblocked(this);
    };
    written.then(goOn, goOn);
  }

  /** Takes a live stream out of its cohort's frames: from its cursor on it reads the log. */
  leaveCohort(): void {
    if (this.state !== "live") return;
    this.cursor = this.covered;
    this.cohort.leave(this);
    this.state = "catching-up";
  }

  /** Forgets the stream, whatever became of its sink. */
  finish(reason: CloseReason): void {
    if (this.state === "closed") return;
    if (this.state === "live") this.cohort.leave(this);
    this.answered();
    this.state = "closed";
    this.request = this.position = this.awaited = null;
    this.#host.forget(this, reason);
  }

  /** Tells the hub that the client has gone. */
  gone(): void {
    this.finish("client");
  }
}

/**
 * - `opening`: the log is asked where it begins, or it has no sink yet; nothing was written
 * - `catching-up`: reads the log, slice by slice
 * - `live`: has had all that its cohort was sent, and is sent the cohort's next frame
 * - `blocked`: its last frame is on its way; the reader is behind
 * - `closed`: for good
 */
export type StreamState = "opening" | "catching-up" | "live" | "blocked" | "closed";

/** Who moves events to streams, as a stream sees it. */
export interface StreamHost {
  readonly clock: Clock;
  /** The last event that was routed to cohorts. */
  readonly head: Cursor;
  readonly counters: Counters;
  /** The reader takes more: the stream is `catching-up`. */
  unblocked(stream: Stream): void;
  /** The stream is `closed`: nothing refers to it any more. */
  forget(stream: Stream, reason: CloseReason): void;
  /** Told what a sink has thrown. */
  report(error: unknown): void;
}
