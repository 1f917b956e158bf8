import type { Cursor } from "../log/event-id.ts";
import type { Position } from "../log/event-log.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { SelectorSet, Topic } from "../topics/topic.ts";
import type { Encoding } from "./encoding.ts";

/**
 * All streams with the same selectors and encoding. They get the same bytes, so each frame is made once, and is written to one live
 * stream after the other, over several turns of the event loop when they are many.
 */
export class Cohort<Stream extends Member> {
  readonly selectors: SelectorSet;
  /** How its events are written; null: as the log keeps them. */
  readonly encoding: Encoding | null;
  /** Streams in whatever state; a cohort without any is dropped. */
  members = 0;
  /** Those of them that wait for the log to say where they begin, or go on. */
  #asking = 0;
  /** By topic: the last event that came while the log was asked, of which its answer may not know. */
  #newest: Map<Topic, Cursor> | null = null;
  readonly live: Stream[] = [];
  /** Being written. The streams in `live[0..unsent)` have yet to get it. */
  frame: Frame | null = null;
  unsent = 0;
  /** What each stream has been sent that was live all along. */
  #sentEvents = 0;
  #sentBytes = 0;
  /** When its streams were last written to, all of them. */
  lastWrite = 0;
  /** True while it stands in the queue of cohorts with something to send. */
  queued = false;
  /** When the oldest event of the frame, and of what is pending, was routed. */
  frameSince = 0;
  #pendingSince = 0;
  #pending: StoredEvent[] = [];
  #pendingBytes = 0;
  /** Set when the events outran the streams: the cursor from which they must read the log instead. */
  #overrunFrom: Cursor | null = null;
  #lastTaken: Cursor = 0;
  /** For each topic that has ended, by which event; most never need it. */
  #ends: Map<Topic, Cursor> | null = null;

  constructor(selectors: SelectorSet, encoding: Encoding | null) {
    this.selectors = selectors;
    this.encoding = encoding;
  }

  /** An event of one of its topics. True when there are live streams to send it to. */
  take(entry: StoredEvent, maxPendingBytes: number, now: number): boolean {
    if (entry.seq === this.#lastTaken) return false; // several of its selectors match
    this.#lastTaken = entry.seq;
    if (this.selectors.topics.length > 0) this.#learn(entry);
    if (this.live.length === 0) return false;
    if (this.#overrunFrom !== null) return true;
    if (this.#pending.length === 0) this.#pendingSince = now;
    const written = this.encoding === null ? entry : this.encoding.encode(entry);
    this.#pending.push(written);
    this.#pendingBytes += written.bytes + PENDING_BYTES;
    if (this.#pendingBytes > maxPendingBytes && this.#pending.length > 1) {
      this.#overrunFrom = this.#pending[0]!.seq - 1;
      this.#dropPending();
    }
    return true;
  }

  /** A stream asks the log where it begins, or goes on. */
  ask(): void {
    this.#asking++;
  }

  /** What it was told is learnt, or will not be. */
  answered(): void {
    if (--this.#asking === 0) this.#newest = null;
  }

  #learn({ topic, seq, end }: StoredEvent): void {
    if (end && this.selectors.hasTopic(topic)) (this.#ends ??= new Map()).set(topic, seq);
    else this.#ends?.delete(topic);
    if (this.#asking > 0 && this.selectors.hasTopic(topic)) (this.#newest ??= new Map()).set(topic, seq);
  }

  /** Whether it was given events of its topics that a view of the log does not have, since streams ask. */
  hasNewsSince(upTo: Cursor): boolean {
    return this.#newest?.values().some((seq) => seq > upTo) ?? false;
  }

  /** Learns which topics have ended, from a view of the log that may be older than what came since. */
  learnEnds({ ends, upTo }: Position): void {
    for (const [at, topic] of this.selectors.topics.entries()) {
      const end = ends[at]!;
      if ((this.#newest?.get(topic) ?? 0) > upTo) continue;
      if (end > 0) (this.#ends ??= new Map()).set(topic, end);
      else this.#ends?.delete(topic); // it has begun anew, though that is not shown here yet
    }
  }

  #dropPending(): void {
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  get hasPending(): boolean {
    return this.#pending.length > 0 || this.#overrunFrom !== null;
  }

  /** The events of the next frame: as many as fit, one at least. */
  nextEvents(maxBytes: number): readonly StoredEvent[] {
    const pending = this.#pending;
    let bytes = 0;
    let count = 0;
    while (count < pending.length && (count === 0 || bytes + pending[count]!.bytes <= maxBytes)) {
      bytes += pending[count++]!.bytes;
    }
    this.#pending = count === pending.length ? [] : pending.slice(count);
    this.#pendingBytes -= bytes + count * PENDING_BYTES;
    return count === pending.length ? pending : pending.slice(0, count);
  }

  /** The edge of what is pending: a stream that joins must have had all events up to here, and none after it. */
  covered(head: Cursor): Cursor {
    if (this.#overrunFrom !== null) return this.#overrunFrom;
    // An event that is not handed to all cohorts yet can have been sent to this one.
    return this.#pending.length > 0 ? this.#pending[0]!.seq - 1 : Math.max(head, this.#lastTaken);
  }

  /** Up to where a live stream has had, or need not have, every event. */
  coveredFor(stream: Stream, head: Cursor): Cursor {
    const { frame } = this;
    if (frame !== null && stream.cursor < frame.last) return Math.max(stream.cursor, frame.first - 1);
    return Math.max(stream.cursor, this.covered(head));
  }

  /** The next frame, to be written to all that are live now. */
  begin(frame: Frame): void {
    this.frame = frame;
    this.frameSince = this.#pendingSince;
    this.unsent = this.live.length;
    this.#sentEvents += frame.events.length;
    this.#sentBytes += frame.bytes.byteLength;
  }

  join(stream: Stream): void {
    stream.livePlace = this.live.push(stream) - 1;
    stream.events -= this.#sentEvents;
    stream.bytes -= this.#sentBytes;
  }

  /** Counts for a live stream what it was sent with its cohort: once, when it leaves, and not for each frame. */
  #settle(stream: Stream): void {
    const { frame } = this;
    const missing = frame !== null && stream.cursor < frame.last ? frame : null;
    stream.events += this.#sentEvents - (missing?.events.length ?? 0);
    stream.bytes += this.#sentBytes - (missing?.bytes.byteLength ?? 0);
    stream.livePlace = -1;
  }

  leave(stream: Stream): void {
    const place = stream.livePlace;
    this.#settle(stream);
    const moved = this.live.pop()!;
    if (moved !== stream) {
      this.live[place] = moved;
      moved.livePlace = place;
    }
    this.unsent = Math.min(this.unsent, this.live.length);
    if (this.live.length > 0) return;
    this.frame = null;
    this.#overrunFrom = null;
    this.#dropPending();
  }

  /** The streams that the events outran, taken out of `live`, with the cursor to read on from. */
  takeOverrun(): { streams: Stream[]; cursor: Cursor } | null {
    const cursor = this.#overrunFrom;
    if (cursor === null) return null;
    this.#overrunFrom = null;
    const streams = this.live.splice(0);
    for (const stream of streams) this.#settle(stream);
    return { streams, cursor };
  }

  /** Forgets what it knows of the log, which has changed under it. Nothing is pending: no stream is live. */
  reset(): void {
    this.#lastTaken = 0;
    this.#ends = null;
    this.#newest = null;
  }

  /** True when nothing can come any more: every selector is a topic, and every topic has ended. */
  get hasEnded(): boolean {
    if (this.#ends === null) return false;
    return this.#ends.size === this.selectors.topics.length && this.selectors.patterns.length === 0;
  }

  /** True when its live streams have been sent everything: they are to be closed. */
  get isOver(): boolean {
    return this.frame === null && !this.hasPending && this.hasEnded && this.live.length > 0;
  }
}

/** What an event that waits costs a cohort beyond its bytes, so that empty ones do not wait by the million. */
const PENDING_BYTES = 256;

/** What a cohort's streams are being sent: some events, encoded once. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly events: readonly StoredEvent[];
  readonly first: Cursor;
  readonly last: Cursor;
}

/** A stream, as far as its cohort knows it. */
export interface Member {
  cursor: Cursor;
  events: number;
  bytes: number;
  livePlace: number;
}
