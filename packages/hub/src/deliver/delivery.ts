import type { Clock } from "../clock.ts";
import { type CloseReason, closingEvent, type ClosingReason, HEARTBEAT } from "../control-events.ts";
import { type Counters, createCounters } from "../counters.ts";
import { HubError } from "../errors.ts";
import { type Cursor, type EventId, formatEventId } from "../log/event-id.ts";
import type { MaybePromise, Position, PositionRequest, TailListener } from "../log/event-log.ts";
import type { HubSettings } from "../options.ts";
import type { StoredEvent } from "../publish/message.ts";
import type { Sink } from "../sinks/sink.ts";
import { goOnText, readyText } from "../subscribe/position.ts";
import { Quotas } from "../subscribe/quotas.ts";
import type { StreamRequest } from "../subscribe/request.ts";
import { Stream } from "../subscribe/stream.ts";
import type { Topic } from "../topics/topic.ts";
import { CatchUp, type CatchUpHost } from "./catch-up.ts";
import type { Cohort } from "./cohort.ts";
import { FanOut } from "./fan-out.ts";
import { Router } from "./router.ts";

/** The part of a turn's writes that may be slices of catching up, which are larger. */
const SLICE_PART = 32;
/** The part of the maximum age over which the ends of streams are spread. */
const AGE_SPREAD = 0.25;

/** A client may come with any text for an id; one that no header can carry is not told back. */
const SAFE_ID = /^[\x20-\x7e]{1,128}$/;

const encoder = new TextEncoder();
const HEARTBEAT_FRAME = encoder.encode(HEARTBEAT);

/**
 * The open streams, and all that moves events to them: live ones are sent frames cohort by cohort, the others read the log
 * from their cursor.
 */
export class Delivery implements CatchUpHost, TailListener {
  readonly clock: Clock;
  readonly streams: Stream[] = [];
  /** One for all namespaces of a hub. */
  readonly counters: Counters;
  readonly quotas: Quotas;
  /** Bytes of events that came into the log, as they go over the wire. */
  bytesTaken = 0;
  /** The epoch of the log that streams are in. */
  epoch: string;
  /** The last event that was routed: what a live stream has had, or is about to have from its cohort. */
  head: Cursor;
  readonly #settings: HubSettings;
  readonly #router = new Router();
  readonly #fanOut: FanOut;
  readonly #catchUp: CatchUp;
  /** Asks for a turn: {@link run}. */
  readonly #wake: () => void;
  /** Grows whenever the log changes otherwise than by appending: what it answered before that may not hold any more. */
  #changes = 0;
  /** What the log was asked last, in this turn and since its last event: streams of a cohort ask the same when it has changed. */
  #asked: { selectors: string; lastEventId: string; answer: MaybePromise<Position> } | null = null;

  /** @param sibling whose streams these are counted with; null: nobody's */
  constructor(settings: HubSettings, wake: () => void, sibling: Delivery | null = null) {
    this.#settings = settings;
    this.clock = settings.clock;
    this.counters = sibling?.counters ?? createCounters();
    this.quotas = new Quotas(settings, sibling?.quotas ?? null);
    this.#wake = wake;
    const { epoch, last } = settings.log.bounds();
    this.epoch = epoch;
    this.head = last;
    this.#fanOut = new FanOut(settings, this, this.#router, (stream) => this.end(stream, "ended"));
    this.#catchUp = new CatchUp(settings, this);
  }

  get cohorts(): number {
    return this.#router.size;
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
    const cohorts = new Set<Cohort<Stream>>();
    this.#router.match(topic, (cohort) => cohorts.add(cohort));
    let members = 0;
    for (const cohort of cohorts) members += cohort.members;
    return members;
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
    const stream = new Stream(this, this.#router.cohortOf(request.selectors), request, lag, quotas);
    const age = this.#age();
    stream.until = stream.opened + Math.min(expiresIn, age);
    if (age < expiresIn) stream.endsBy = "max-age";
    stream.place = this.streams.push(stream) - 1;
    return stream;
  }

  /** How long a new stream may stay: those that came together do not go together. */
  #age(): number {
    const { maxAge, random } = this.#settings;
    return maxAge === null ? Infinity : maxAge * (1 - AGE_SPREAD * random());
  }

  /** Asks the log. @throws HubError (or rejects) as `EventLog.position` */
  #ask(request: PositionRequest): MaybePromise<Position> {
    try {
      const answer = this.#settings.log.position(request);
      if (!(answer instanceof Promise)) return answer;
      return answer.catch((error: unknown) => {
        throw logFailed(error);
      });
    } catch (error) {
      throw logFailed(error);
    }
  }

  /**
   * Asks the log where a registered stream begins, and again when the log changes meanwhile.
   *
   * @param use is given the answer in the very turn in which it holds
   * @throws HubError (or rejects) `log-failed`, or `closed` when the stream was closed meanwhile; nothing is left of the stream
   */
  position<Result>(stream: Stream, use: (position: Position) => Result): MaybePromise<Result> {
    const changes = this.#changes;
    const found = (position: Position): MaybePromise<Result> => {
      if (stream.request === null)
        throw new HubError("closed", "the server is shutting down; connect again later");
      if (changes !== this.#changes) return this.position(stream, use);
      stream.lastWrite = this.clock.now(); // from now on it waits to be attached
      stream.awaited = null;
      stream.position = position;
      return use(position);
    };
    const failed = (error: unknown): never => {
      stream.finish("error");
      throw error;
    };
    try {
      const answer = this.#ask(stream.request!);
      if (!(answer instanceof Promise)) return found(answer);
      stream.awaited = answer;
      return answer.then(found).catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  /** Writes the first bytes; from then on the stream is given whatever its selectors match after its cursor. */
  attach(stream: Stream, sink: Sink): void {
    stream.sink = sink;
    if (stream.position === null) this.#start(stream);
    else this.#begin(stream, stream.position);
  }

  /** Asks where a stream begins that has its sink: the log has changed since it answered, and may change again. */
  #start(stream: Stream): void {
    const changes = this.#changes;
    const ask = () => this.#ask(stream.request!);
    this.#locate(stream, ask, (position) => {
      if (changes === this.#changes) this.#begin(stream, position);
      else this.#start(stream);
    });
  }

  #begin(stream: Stream, position: Position): void {
    const { cohort, request } = stream;
    const id = this.id(position.cursor);
    this.counters.resumes[position.resume]++;
    if (position.gap !== null) this.counters.gaps[position.gap]++;
    cohort.learnEnds(position);
    stream.answered();
    stream.request = stream.position = null;
    stream.state = "catching-up";
    const text = readyText(request!, position, id, this.retry());
    if (stream.write(encoder.encode(text), 0, position.cursor)) this.#catchUp.goOn(stream);
  }

  /** Asks the log where a stream goes on, since its events are gone, or the log has changed under it. */
  relocate(stream: Stream, from: Cursor = 0): void {
    const { selectors } = stream.cohort;
    const lastEventId = stream.lastEventId ?? this.id(stream.cursor);
    const ask = (): MaybePromise<Position> => {
      if (this.#asked?.lastEventId !== lastEventId || this.#asked.selectors !== selectors.key) {
        const answer = this.#ask({ selectors, lastEventId, replay: 0, counted: false });
        this.#asked = { selectors: selectors.key, lastEventId, answer };
      }
      return this.#asked.answer;
    };
    this.#locate(stream, ask, (position) => this.#goOn(stream, lastEventId, position, from));
  }

  #goOn(stream: Stream, lastEventId: string, position: Position, from: Cursor): void {
    if (stream.state !== "catching-up") {
      stream.answered(); // it asks again when its reader goes on
      return;
    }
    // What a read found to be gone is gone, whatever the log says of it.
    const isGone = from > position.cursor;
    const found: Position = isGone ? { ...position, cursor: from, gap: position.gap ?? "evicted" } : position;
    const { cohort } = stream;
    const id = this.id(found.cursor);
    cohort.learnEnds(found);
    stream.answered();
    const text = goOnText(cohort.selectors, found, lastEventId, stream.cursor, id);
    if (text !== "" && stream.fellBehind && stream.lag === "disconnect") {
      this.close(stream, "slow"); // with the id that it has now: nothing of this was told
      return;
    }
    stream.lastEventId = null;
    if (text === "") stream.cursor = found.cursor;
    else {
      if (found.gap !== null) this.counters.gaps[found.gap]++;
      if (!stream.write(encoder.encode(text), 0, found.cursor)) return;
    }
    this.#catchUp.goOn(stream);
  }

  /** Goes on with the log's answer for a stream, unless the stream waits for another one by then. */
  #locate(stream: Stream, ask: () => MaybePromise<Position>, use: (position: Position) => void): void {
    const fail = (error: unknown): void => {
      this.end(stream, "error");
      this.report(error);
    };
    let answer: MaybePromise<Position>;
    try {
      answer = ask();
    } catch (error) {
      fail(error);
      return;
    }
    if (!(answer instanceof Promise)) {
      use(answer);
      return;
    }
    stream.asks();
    stream.awaited = answer;
    const isAwaited = (): boolean => stream.awaited === answer;
    answer.then(
      (position) => {
        if (!isAwaited()) return;
        stream.awaited = null;
        use(position);
      },
      (error: unknown) => {
        if (isAwaited()) fail(error);
      },
    );
  }

  /** New events of the log. */
  append(entries: readonly StoredEvent[]): void {
    for (const { bytes } of entries) this.bytesTaken += bytes;
    this.#fanOut.route(entries);
    this.head = entries[entries.length - 1]!.seq;
    this.#asked = null; // an answer of before may call a topic ended that has begun anew
    if (this.#fanOut.hasWork) this.#wake();
  }

  /** The log has begun a new epoch: nothing of the old one is delivered any more, and every stream asks where it goes on. */
  reset(): void {
    this.#change();
    const { epoch, last } = this.#settings.log.bounds();
    this.epoch = epoch;
    this.head = last;
  }

  /** Events are gone that were never routed. */
  skip(): void {
    this.#change();
    this.head = this.#settings.log.bounds().last;
  }

  #change(): void {
    this.#changes++;
    this.#asked = null;
    for (const stream of this.streams) {
      if (stream.state === "opening") {
        stream.position = null;
        continue;
      }
      stream.leaveCohort();
      stream.lastEventId ??= this.id(stream.cursor);
      stream.awaited = null;
      if (stream.state === "catching-up") this.#catchUp.add(stream);
    }
    for (const cohort of this.#router.cohorts()) cohort.reset();
    this.#wake();
  }

  /** Whether a turn has anything to do. */
  get hasWork(): boolean {
    return this.#fanOut.hasWork || this.#catchUp.hasWork;
  }

  /** One turn's work. True when some is left for the next turn. */
  run(): boolean {
    const { writesPerTurn } = this.#settings;
    this.#fanOut.run(writesPerTurn);
    this.#catchUp.run(Math.ceil(writesPerTurn / SLICE_PART));
    this.#asked = null;
    return this.hasWork;
  }

  /** The stream reads the log in one of the next turns. */
  unblocked(stream: Stream): void {
    this.#catchUp.add(stream);
    this.#wake();
  }

  /** A comment for a stream that was quiet for long. */
  heartbeat(stream: Stream): void {
    this.counters.heartbeats++;
    stream.write(HEARTBEAT_FRAME, 0, stream.cursor);
  }

  /** Ends the stream, and tells the client why and when to come back, where the socket still takes it. */
  close(stream: Stream, reason: ClosingReason): void {
    const { state, sink, request, lastEventId } = stream;
    if (state === "closed") return;
    if (state !== "blocked" && sink !== null) {
      this.tellClosing(sink, request?.lastEventId ?? lastEventId ?? this.id(stream.covered), reason);
    }
    this.end(stream, reason);
  }

  /** @param id where the client left off; what is not the text of an id, it is not told */
  tellClosing(sink: Sink, id: string, reason: ClosingReason): void {
    const retry = reason === "drain" ? this.returnTime() : this.retry();
    try {
      const written = sink.write(encoder.encode(closingEvent(SAFE_ID.test(id) ? id : "", reason, retry)));
      if (typeof written !== "number") written.catch(() => {}); // the socket has failed: nobody waits for it any more
    } catch {
      // It is closed all the same.
    }
  }

  /** Ends the stream without a word more. */
  end(stream: Stream, reason: CloseReason): void {
    const { sink, state } = stream;
    stream.finish(reason);
    try {
      if (state === "blocked") sink?.abort();
      else if (state !== "closed") sink?.close();
    } catch (error) {
      this.report(error);
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
    const moved = this.streams.pop()!;
    if (moved !== stream) {
      this.streams[stream.place] = moved;
      moved.place = stream.place;
    }
    this.quotas.release(stream.quotas);
    if (--cohort.members === 0) this.#router.remove(cohort);
    if (sink === null) return; // it was never attached
    this.counters.closes[reason]++;
    this.#settings.onClose(stream, reason);
  }
}

function logFailed(error: unknown): HubError {
  if (error instanceof HubError) return error;
  return new HubError("log-failed", `the log cannot be asked where the stream begins: ${String(error)}`, {
    cause: error,
  });
}
