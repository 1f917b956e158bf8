import type { Clock } from "../clock.ts";
import { type CloseReason, closingEvent, type ClosingReason, HEARTBEAT } from "../control-events.ts";
import { type Counters, createCounters } from "../counters.ts";
import { type Cursor, type EventId, formatEventId } from "../log/event-id.ts";
import type { PositionRequest, TailListener } from "../log/event-log.ts";
import type { HubSettings } from "../options.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { Sink } from "../sinks/sink.ts";
import { Quotas } from "../subscribe/quotas.ts";
import type { StreamRequest } from "../subscribe/request.ts";
import { Resumer } from "../subscribe/resume.ts";
import type { Topic } from "../topics/topic.ts";
import { CatchUp, type CatchUpHost } from "./catch-up.ts";
import type { Cohort } from "./cohort.ts";
import { Cohorts } from "./cohorts.ts";
import { controlBytes } from "./encoding.ts";
import { FanOut } from "./fan-out.ts";
import { Router } from "./router.ts";
import { Stream } from "./stream.ts";

/**
 * The open streams, and all that moves events to them: live ones are sent frames cohort by cohort, the others read the log
 * from their cursor.
 */
export class OpenStreams implements CatchUpHost, TailListener {
  readonly clock: Clock;
  /** In no order: {@link Stream.place} says where each stands. */
  readonly all: Stream[] = [];
  /** One for all namespaces of a hub. */
  readonly counters: Counters;
  readonly quotas: Quotas;
  /** Bytes of events that came into the log, as they go over the wire. */
  bytesTaken = 0;
  /** Finds out where they begin, and go on. */
  readonly resumer: Resumer;
  /** The epoch of the log that streams are in. */
  epoch: string;
  readonly #settings: HubSettings;
  readonly #cohorts = new Cohorts();
  readonly #router: Router;
  readonly #fanOut: FanOut;
  readonly #catchUp: CatchUp;
  /** Asks for a turn: {@link run}. */
  readonly #wake: () => void;

  /** @param sibling whose streams these are counted with; null: nobody's */
  constructor(settings: HubSettings, wake: () => void, sibling: OpenStreams | null = null) {
    this.#settings = settings;
    this.clock = settings.clock;
    this.counters = sibling?.counters ?? createCounters();
    this.quotas = new Quotas(settings, sibling?.quotas ?? null);
    this.#wake = wake;
    this.epoch = settings.log.bounds().epoch;
    this.#fanOut = new FanOut(settings, this, (stream) => this.end(stream, "ended"));
    this.#router = new Router(settings, this.#cohorts, (cohort) => this.#fanOut.add(cohort));
    this.#catchUp = new CatchUp(settings, this);
    this.resumer = new Resumer(settings, this, this.#catchUp);
  }

  /** How many sets of selectors they have, each encoding of one counted. */
  get cohorts(): number {
    return this.#cohorts.size;
  }

  /** The last event that was routed: what a live stream has had, or is about to have from its cohort. */
  get head(): Cursor {
    return this.#router.head;
  }

  /** Whether events of the cohort's topics came, or may have come, that a view of the log does not have. */
  hasNewsSince(cohort: Cohort<Stream>, upTo: Cursor): boolean {
    return cohort.hasNewsSince(upTo) || this.#router.hasAfter(upTo);
  }

  id(cursor: Cursor): EventId {
    return formatEventId(this.epoch, cursor);
  }

  /** How many events of the log a stream has yet to get, of its topics or not. */
  lag(stream: Stream): number {
    return stream.state === "opening" ? 0 : Math.max(0, this.head - stream.covered);
  }

  /** How many streams would be given an event of this topic. */
  listeners(topic: Topic): number {
    return this.#cohorts.members(topic);
  }

  /**
   * A new stream, which has its quotas and its place in its cohort: from now on nothing that is published can pass it by. It
   * has yet to be told where it begins, and to be attached.
   *
   * @throws HubError `too-many-streams`, or one of its kind
   */
  register(request: PositionRequest, wanted: StreamRequest): Stream {
    const { lag = "catch-up", expiresIn = Infinity } = wanted;
    const quotas = this.quotas.acquire(wanted);
    const stream = new Stream(this, this.#cohorts.cohortOf(request.selectors, wanted), request, lag, quotas);
    const age = this.#age();
    stream.until = stream.opened + Math.min(expiresIn, age);
    if (age < expiresIn) stream.endsBy = "max-age";
    stream.place = this.all.push(stream) - 1;
    return stream;
  }

  /** How long a new stream may stay: those that came together do not go together. */
  #age(): number {
    const { maxAge, random } = this.#settings;
    return maxAge === null ? Infinity : maxAge * (1 - AGE_SPREAD * random());
  }

  /** New events of the log. */
  append(entries: readonly StoredEvent[]): void {
    for (const { bytes } of entries) this.bytesTaken += bytes;
    this.resumer.forgetAsked(); // an answer of before may call a topic ended that has begun anew
    if (!this.#router.append(entries)) this.#change(entries[entries.length - 1]!.seq);
    if (this.#router.hasWork || this.#fanOut.hasWork) this.#wake();
  }

  /** The log has begun a new epoch: nothing of the old one is delivered any more, and every stream asks where it goes on. */
  reset(): void {
    const { epoch, last } = this.#settings.log.bounds();
    this.#change(last, epoch);
  }

  /** Events are gone that were never routed. */
  skip(): void {
    this.#change(this.#settings.log.bounds().last);
  }

  /** Every stream asks the log where it goes on. */
  #change(head: Cursor, epoch = this.epoch): void {
    this.resumer.logChanged();
    this.#catchUp.logChanged();
    for (const stream of this.all) {
      if (stream.state === "opening") {
        stream.position = null;
        continue;
      }
      stream.leaveCohort();
      stream.lastEventId ??= this.id(stream.cursor);
      stream.awaited = null;
      if (stream.state === "catching-up") this.#catchUp.add(stream);
    }
    for (const cohort of this.#cohorts.all()) cohort.reset();
    this.#router.clear(head);
    this.epoch = epoch;
    this.#wake();
  }

  /** Whether a turn has anything to do. */
  get hasWork(): boolean {
    return this.#router.hasWork || this.#fanOut.hasWork || this.#catchUp.hasWork;
  }

  /** One turn's work. True when some is left for the next turn. */
  run(): boolean {
    const { writesPerTurn } = this.#settings;
    this.#router.run();
    this.#fanOut.run(writesPerTurn, !this.#router.hasWork);
    this.#catchUp.run(Math.ceil(writesPerTurn / SLICE_PART));
    this.resumer.forgetAsked();
    return this.hasWork;
  }

  /** The stream reads the log in one of the next turns. */
  unblocked(stream: Stream): void {
    this.#catchUp.add(stream);
    this.#wake();
  }

  /** Asks the log where the stream goes on. */
  relocate(stream: Stream, from?: Cursor): void {
    this.resumer.relocate(stream, from);
  }

  /** The topics of the cohort have all ended: its streams are closed in one of the next turns. */
  over(cohort: Cohort<Stream>): void {
    this.#fanOut.close(cohort);
    this.#wake();
  }

  /** A comment for a stream that was quiet for long. */
  heartbeat(stream: Stream): void {
    this.counters.heartbeats++;
    stream.write(HEARTBEAT_FRAME, [], stream.cursor);
  }

  /** Ends the stream, and tells the client why and when to come back, where the socket still takes it. */
  close(stream: Stream, reason: ClosingReason): void {
    const { state, sink, request, lastEventId } = stream;
    if (state === "closed") return;
    if (state !== "blocked" && sink !== null) {
      this.tellClosing(stream, sink, request?.lastEventId ?? lastEventId ?? this.id(stream.covered), reason);
    }
    this.end(stream, reason);
  }

  /** @param id where the client left off; what is not the text of an id, it is not told */
  tellClosing({ cohort }: Stream, sink: Sink, id: string, reason: ClosingReason): void {
    const retry = reason === "drain" ? this.returnTime() : this.retry();
    try {
      const text = closingEvent(SAFE_ID.test(id) ? id : "", reason, retry);
      const written = sink.write(controlBytes(cohort.encoding, text));
      if (typeof written !== "number") written.catch(() => {}); // the socket has failed: nobody waits for it any more
    } catch {
      // It is closed all the same.
    }
  }

  /** Ends the stream without a word more. */
  end(stream: Stream, reason: CloseReason, error?: unknown): void {
    const { sink, state } = stream;
    stream.finish(reason);
    try {
      if (state === "blocked") sink?.abort(reason);
      else if (state !== "closed") sink?.close(reason, error);
    } catch (thrown) {
      this.report(thrown);
    }
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

  report(error: unknown): void {
    this.#settings.onError(error);
  }

  forget(stream: Stream, reason: CloseReason): void {
    const { cohort, sink } = stream;
    const moved = this.all.pop()!;
    if (moved !== stream) {
      this.all[stream.place] = moved;
      moved.place = stream.place;
    }
    this.quotas.release(stream.quotas);
    if (--cohort.members === 0) this.#cohorts.remove(cohort);
    if (sink === null) return; // it was never attached
    this.counters.closes[reason]++;
    this.#settings.onClose(stream, reason);
  }
}

/** The part of a turn's writes that may be slices of catching up, which are larger. */
const SLICE_PART = 32;
/** The part of the maximum age over which the ends of streams are spread. */
const AGE_SPREAD = 0.25;
/** A client may come with any text for an id; one that no header can carry is not told back. */
const SAFE_ID = /^[\x20-\x7e]{1,128}$/;

const HEARTBEAT_FRAME = new TextEncoder().encode(HEARTBEAT);
