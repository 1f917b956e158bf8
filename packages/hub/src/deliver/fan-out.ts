import { Cohort, type Frame } from "./cohort.ts";
import { Router } from "./router.ts";
import {
  closingEvent,
  type ClosingReason,
  gapEvent,
  type GapReason,
  type Resume,
} from "../control-events.ts";
import { type Cursor, type EventId, formatEventId } from "../log/event-id.ts";
import type { StoredEvent } from "../publish/message.ts";
import type { StreamRequest } from "../subscribe/position.ts";
import { Quotas } from "../subscribe/quotas.ts";
import type { HubSettings } from "../options.ts";
import type { Sink } from "../sinks/sink.ts";
import { type Slice, sliceOf } from "./catch-up.ts";
import { type CloseReason, type LagPolicy, Stream } from "../subscribe/stream.ts";
import type { SelectorSet, Topic } from "../topics/topic.ts";

/** The part of a turn's writes that go to one cohort before the next has its turn. */
const COHORT_PART = 4;
/** The part of a turn's writes that may be slices of catching up, which are larger. */
const SLICE_PART = 32;
/** A write of more bytes than 2 to this power, 16 KiB, counts as several. */
const WRITE_SHIFT = 14;
/** Frames that may wait for a cohort; what is more is read from the log. */
const PENDING_FRAMES = 16;

/** The part of the maximum age over which the ends of streams are spread. */
const AGE_SPREAD = 0.25;

const encoder = new TextEncoder();

/** What was done since the start. */
export interface Counters {
  /** Events that a sink took, over all streams. */
  deliveries: number;
  bytes: number;
  heartbeats: number;
  /** Bytes of events that came into the log, as they go over the wire. */
  bytesTaken: number;
  /** Streams by how they began. */
  resumes: Record<Resume, number>;
  gaps: Record<GapReason, number>;
  closes: Record<CloseReason, number>;
}

/**
 * Moves events from the log to the sinks: live events by cohort, one frame and one write per stream and turn; everything
 * a stream missed by reading the log from its cursor.
 */
export class Delivery {
  readonly streams: Stream[] = [];
  readonly counters: Counters = {
    deliveries: 0,
    bytes: 0,
    heartbeats: 0,
    bytesTaken: 0,
    resumes: { fresh: 0, resumed: 0, reset: 0 },
    gaps: { evicted: 0, epoch: 0, "unknown-id": 0, lag: 0 },
    closes: { client: 0, ended: 0, error: 0, drain: 0, slow: 0, "max-age": 0, "auth-expired": 0 },
  };
  readonly occupancy: Quotas;
  readonly #settings: HubSettings;
  #epoch: string;
  /** Asks for a turn: {@link run}. */
  readonly #wake: () => void;
  readonly #cohorts = new Map<string, Cohort>();
  readonly #index = new Router();
  #sending: Cohort[] = [];
  #catchingUp: Stream[] = [];
  /** The time of this turn: asking the clock for each write would cost as much as a tenth of it. */
  #now = 0;
  /** The last event that was routed: what a live stream has had, or is about to have from its cohort. */
  #head: Cursor;
  #frameMemo: { entries: readonly StoredEvent[]; frame: Frame } | null = null;
  #sliceMemo: { cohort: Cohort; lag: LagPolicy; cursor: Cursor; upTo: Cursor; slice: Slice } | null = null;

  constructor(settings: HubSettings, wake: () => void) {
    this.#settings = settings;
    this.occupancy = new Quotas(settings);
    this.#wake = wake;
    const { epoch, last } = settings.log.bounds();
    this.#epoch = epoch;
    this.#head = last;
  }

  get cohorts(): number {
    return this.#cohorts.size;
  }

  get epoch(): string {
    return this.#epoch;
  }

  id(cursor: Cursor): EventId {
    return formatEventId(this.#epoch, cursor);
  }

  /** How many events of the log a stream has yet to get, of its topics or not. */
  lag(stream: Stream): number {
    const { cohort, cursor, state } = stream;
    return Math.max(0, this.#head - (state === "live" ? cohort.coveredFor(stream, this.#head) : cursor));
  }

  /** How many streams would be given an event of this topic. */
  listeners(topic: Topic): number {
    const cohorts = new Set<Cohort>();
    this.#index.match(topic, (cohort) => cohorts.add(cohort));
    let members = 0;
    for (const cohort of cohorts) members += cohort.members;
    return members;
  }

  /** A new stream that has yet to be {@link start started}. Its cohort is complete before anything is read. */
  open(selectors: SelectorSet, sink: Sink, request: StreamRequest): Stream {
    const { lag = "catch-up", expiresIn = Infinity } = request;
    let cohort = this.#cohorts.get(selectors.key);
    if (cohort === undefined) {
      cohort = new Cohort(selectors);
      this.#cohorts.set(selectors.key, cohort);
      this.#index.add(cohort);
    }
    cohort.members++;
    const stream = new Stream(cohort, lag, sink, this.#settings.clock.now(), this.#gone);
    const age = this.#age();
    stream.until = stream.opened + Math.min(expiresIn, age);
    if (age < expiresIn) stream.endsBy = "max-age";
    stream.holders = this.occupancy.enter(request);
    stream.place = this.streams.push(stream) - 1;
    return stream;
  }

  /** How long a new stream may stay: those that came together do not go together. */
  #age(): number {
    const { maxAge, random } = this.#settings;
    return maxAge === null ? Infinity : maxAge * (1 - AGE_SPREAD * random());
  }

  readonly #gone = (stream: Stream): void => this.#finish(stream, "client");

  /** Writes the first bytes; from then on the stream is given whatever its selectors match after its cursor. */
  start(stream: Stream, text: string): void {
    this.#now = this.#settings.clock.now();
    stream.state = "catching-up";
    if (!this.#write(stream, encoder.encode(text), 0, stream.cursor)) return;
    this.#goOn(stream);
  }

  /**
   * The log has begun a new life: nothing of the old one is delivered any more, and every stream goes on from the start
   * of the new one, once it has been told.
   */
  reset(): void {
    const { epoch, first, last, inherited = 0 } = this.#settings.log.bounds();
    this.#catchingUp = [];
    for (const stream of this.streams) {
      if (stream.state === "opening") continue; // the hub looks anew
      const isLive = stream.state === "live";
      stream.lost ??= this.id(isLive ? stream.cohort.coveredFor(stream, this.#head) : stream.cursor);
      stream.cursor = Math.max(first - 1, inherited);
      if (isLive) {
        stream.cohort.leave(stream);
        stream.state = "catching-up";
      }
      if (stream.state === "catching-up") this.#catchingUp.push(stream);
    }
    for (const cohort of this.#cohorts.values()) cohort.reset();
    this.#epoch = epoch;
    this.#head = last;
    this.#wake();
  }

  /** Events are gone that were never routed: live streams find out by reading the log, and are told. */
  skip(): void {
    for (const stream of this.streams) {
      if (stream.state !== "live") continue;
      stream.cursor = stream.cohort.coveredFor(stream, this.#head);
      stream.cohort.leave(stream);
      stream.state = "catching-up";
      this.#catchingUp.push(stream);
    }
    this.#head = this.#settings.log.bounds().last;
    this.#wake();
  }

  /** False when it cannot take more. */
  #tellLoss(stream: Stream, lost: EventId): boolean {
    const id = this.id(stream.cursor);
    stream.lost = null;
    this.counters.gaps.epoch++;
    return this.#write(stream, encoder.encode(gapEvent("epoch", lost, id)), 0, stream.cursor);
  }

  /**
   * A stream joins its cohort at the edge of what is pending there, so that the next frame is wholly new to it. One that
   * is behind the edge reads on; one that is beyond it waits until the pending events are under way.
   */
  #goOn(stream: Stream): void {
    if (stream.cursor === stream.cohort.covered(this.#head)) this.#goLive(stream);
    else this.#catchUpSoon(stream);
  }

  /** Hands new events of the log to the cohorts that want them. */
  route(entries: readonly StoredEvent[]): void {
    const maxPendingBytes = this.#settings.maxFrameBytes * PENDING_FRAMES;
    const now = this.#settings.clock.now();
    let entry = entries[0]!;
    const hand = (cohort: Cohort): void => {
      if (!cohort.take(entry, maxPendingBytes, now) || cohort.queued) return;
      cohort.queued = true;
      this.#sending.push(cohort);
    };
    for (entry of entries) {
      this.counters.bytesTaken += entry.bytes;
      this.#index.match(entry.topic, hand);
    }
    this.#head = entries[entries.length - 1]!.seq;
    if (this.#sending.length > 0) this.#wake();
  }

  /** Whether a turn has anything to do. */
  get hasWork(): boolean {
    return this.#sending.length > 0 || this.#catchingUp.length > 0;
  }

  /** One turn's work. True when some is left for the next turn. */
  run(): boolean {
    const { writesPerTurn, clock } = this.#settings;
    this.#now = clock.now();
    let writes = writesPerTurn;
    while (this.#sending.length > 0 && writes > 0) {
      const cohort = this.#sending.shift()!;
      writes -= this.#send(cohort, Math.min(writes, Math.ceil(writesPerTurn / COHORT_PART)));
      if (cohort.frame !== null || cohort.hasPending) this.#sending.push(cohort);
      else cohort.queued = false;
    }
    this.#frameMemo = null;
    const slices = this.#catchingUp.splice(0, Math.ceil(writesPerTurn / SLICE_PART));
    for (const stream of slices) this.#catchUp(stream);
    this.#sliceMemo = null;
    return this.hasWork;
  }

  /** Writes the cohort's frame to as many streams as allowed. Answers how many writes that counts for. */
  #send(cohort: Cohort, limit: number): number {
    if (cohort.frame === null) {
      const overrun = cohort.takeOverrun();
      if (overrun !== null) {
        for (const stream of overrun.streams) {
          stream.cursor = Math.max(stream.cursor, overrun.cursor);
          stream.state = "catching-up";
          this.#catchUpSoon(stream);
        }
        return 0;
      }
      if (!cohort.hasPending) return 0;
      cohort.begin(this.#frameOf(cohort.nextEvents(this.#settings.maxFrameBytes)));
    }
    const { bytes, events, last } = cohort.frame!;
    const cost = 1 + (bytes.byteLength >>> WRITE_SHIFT);
    let written = 0;
    let taken = 0;
    while (cohort.unsent > 0 && written < limit) {
      const stream = cohort.live[--cohort.unsent]!;
      if (stream.cursor >= last) continue; // joined, or moved to this place, after it had these events
      written += cost;
      if (this.#offer(stream, bytes, last)) taken++;
    }
    this.#count(taken, events, bytes);
    if (cohort.unsent === 0) {
      cohort.frame = null;
      cohort.lastWrite = this.#now;
      this.#settings.observer.fannedOut(this.#settings.clock.now() - cohort.frameSince);
      if (!cohort.hasPending && cohort.hasEnded) {
        for (const stream of cohort.live.slice()) this.close(stream, "ended");
      }
    }
    return written;
  }

  #frameOf(entries: readonly StoredEvent[]): Frame {
    const memo = this.#frameMemo;
    if (memo?.entries.length === entries.length && memo.entries.every((entry, at) => entry === entries[at])) {
      return memo.frame;
    }
    let text = "";
    for (const entry of entries) text += entry.wire;
    const first = entries[0]!.seq;
    const { seq: last } = entries[entries.length - 1]!;
    const frame = { bytes: encoder.encode(text), events: entries.length, first, last };
    this.#frameMemo = { entries, frame };
    return frame;
  }

  /** Writes to the sink, as little else as possible: this is done for every stream and frame. True when it took it. */
  #offer(stream: Stream, bytes: Uint8Array, cursor: Cursor): boolean {
    let result: number | Promise<unknown>;
    try {
      result = stream.sink.write(bytes);
    } catch {
      this.#finish(stream, "error");
      return false;
    }
    if (result === 0) {
      this.#finish(stream, "client");
      return false;
    }
    stream.cursor = cursor;
    if (typeof result !== "number") this.#block(stream, result);
    return true;
  }

  #count(streams: number, events: number, bytes: Uint8Array): void {
    this.counters.deliveries += streams * events;
    this.counters.bytes += streams * bytes.byteLength;
  }

  /** Writes what is for this stream alone. True when it can take more. */
  #write(stream: Stream, bytes: Uint8Array, events: number, cursor: Cursor): boolean {
    stream.lastWrite = this.#now;
    if (!this.#offer(stream, bytes, cursor)) return false;
    stream.events += events;
    stream.bytes += bytes.byteLength;
    this.#count(1, events, bytes);
    return stream.state !== "blocked";
  }

  #block(stream: Stream, written: Promise<unknown>): void {
    if (stream.state === "live") {
      stream.cursor = stream.cohort.coveredFor(stream, this.#head);
      stream.cohort.leave(stream);
      stream.fellBehind = true;
    }
    stream.state = "blocked";
    stream.blockedSince = this.#now;
    const goOn = (): void => {
      if (stream.state !== "blocked") return;
      stream.state = "catching-up";
      this.#catchUpSoon(stream);
    };
    written.then(goOn, goOn);
  }

  #catchUpSoon(stream: Stream): void {
    this.#catchingUp.push(stream);
    this.#wake();
  }

  /** One slice: reads the log from the cursor, and writes what there is. */
  #catchUp(stream: Stream): void {
    if (stream.state !== "catching-up") return;
    if (stream.lost !== null && !this.#tellLoss(stream, stream.lost)) return;
    const { cohort, cursor, lag } = stream;
    const upTo = cohort.covered(this.#head);
    if (cursor >= upTo) {
      this.#goOn(stream);
      return;
    }
    const memo = this.#sliceMemo;
    if (memo?.cohort === cohort && memo.cursor === cursor && memo.upTo === upTo && memo.lag === lag) {
      this.#deliver(stream, memo.slice);
      return;
    }
    const limits = { bytes: this.#settings.maxFrameBytes, upTo, latest: lag === "latest" };
    const epoch = this.#epoch;
    const page = this.#settings.log.read(cursor, cohort.selectors, limits);
    if (page instanceof Promise) {
      // What was asked of an earlier life of the log is nothing to this one.
      page.then(
        (late) => epoch === this.#epoch && this.#deliver(stream, sliceOf(cursor, late, epoch)),
        () => epoch === this.#epoch && this.close(stream, "error"),
      );
      return;
    }
    const slice = sliceOf(cursor, page, epoch);
    this.#sliceMemo = { cohort, cursor, upTo, lag, slice };
    this.#deliver(stream, slice);
  }

  #deliver(stream: Stream, { bytes, events, gaps, cursor }: Slice): void {
    if (stream.state !== "catching-up") return;
    if (bytes === null) {
      stream.cursor = cursor;
    } else {
      if (stream.fellBehind && stream.lag === "disconnect") {
        this.close(stream, "slow");
        return;
      }
      for (const reason of gaps) this.counters.gaps[reason]++;
      if (!this.#write(stream, bytes, events, cursor)) return;
    }
    this.#goOn(stream);
  }

  #goLive(stream: Stream): void {
    stream.state = "live";
    stream.fellBehind = false;
    stream.cohort.join(stream);
    if (stream.cohort.hasEnded && !stream.cohort.hasPending) this.close(stream, "ended");
  }

  /** A comment for a stream that was quiet for long. */
  heartbeat(stream: Stream, frame: Uint8Array): void {
    this.#now = this.#settings.clock.now();
    this.counters.heartbeats++;
    this.#write(stream, frame, 0, stream.cursor);
  }

  /** Ends the stream, and tells the client why and when to come back, where the socket still takes it. */
  close(stream: Stream, reason: ClosingReason | "ended" | "error"): void {
    if (stream.state === "closed") return;
    if (stream.state === "blocked") {
      this.#finish(stream, reason);
      stream.sink.abort();
      return;
    }
    if (reason !== "ended" && reason !== "error" && stream.state !== "opening") {
      const cursor = stream.state === "live" ? stream.cohort.coveredFor(stream, this.#head) : stream.cursor;
      const retry = reason === "drain" ? this.returnTime() : this.retry();
      const bytes = encoder.encode(closingEvent(stream.lost ?? this.id(cursor), reason, retry));
      try {
        void stream.sink.write(bytes);
      } catch {
        // It is closed all the same.
      }
    }
    this.#finish(stream, reason);
    stream.sink.close();
  }

  /** A reconnection time of its own for every stream. */
  retry(): number {
    return Math.round(this.#settings.retry * (0.5 + this.#settings.random()));
  }

  /** When a client that is sent away comes back: they must not all be at the next node's door together. */
  returnTime(): number {
    const { retry, returnWindow, random } = this.#settings;
    return Math.round(retry / 2 + returnWindow * random());
  }

  /** Forgets the stream: nothing of the hub refers to it any more. */
  #finish(stream: Stream, reason: CloseReason): void {
    if (stream.state === "closed") return;
    const { cohort } = stream;
    if (stream.state === "live") cohort.leave(stream);
    stream.state = "closed";
    const moved = this.streams.pop()!;
    if (moved !== stream) {
      this.streams[stream.place] = moved;
      moved.place = stream.place;
    }
    this.occupancy.leave(stream.holders);
    if (--cohort.members === 0) {
      this.#cohorts.delete(cohort.selectors.key);
      this.#index.remove(cohort);
    }
    this.counters.closes[reason]++;
    this.#settings.onClose(stream, reason);
  }
}
