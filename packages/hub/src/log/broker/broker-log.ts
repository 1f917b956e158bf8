import { type Clock, systemClock } from "../../clock.ts";
import { createEpoch, type Cursor, type EventId, formatEventId, parseEventId } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import { type StoredEvent, storedEvent, type NewEvent } from "../../publish/message.ts";
import type {
  Bounds,
  Connection,
  EventLog,
  MaybePromise,
  Page,
  Position,
  PositionRequest,
  ReadLimits,
  TailListener,
} from "../event-log.ts";
import { SelectorSet } from "../../topics/topic.ts";
import {
  type Broker,
  type BrokerRecord,
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  EpochMismatch,
} from "./broker.ts";
import { BrokerConnection, words } from "./connection.ts";
import { BrokerFault } from "./fault.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { PageBuilder } from "../page-builder.ts";
import { parseLastEventId, toPosition } from "../position.ts";
import { RecentEvents } from "../recent-events.ts";
import { ENTRY_BYTES, type Limits, limitsOf, type Retention } from "../retention.ts";
import { Semaphore, SemaphoreTimeout } from "./semaphore.ts";
import { Tail } from "../tail.ts";
import { within } from "./timing.ts";

export interface BrokerLogOptions extends Retention {
  /** How much of the newest part of the log is kept in memory, beside the bounds of the log; default {@link MEMORY_LOG_DEFAULTS}. */
  window?: { maxEvents?: number; maxBytes?: number } | undefined;
  /** How often, in milliseconds, the broker is asked for its state; default 1,000. */
  checkEvery?: number | undefined;
  /** Told that the log cannot keep events, as the broker is out of reach or refuses them, and why; null: it can again. */
  onFault?: ((fault: string | null) => void) | undefined;
  /** Default: the process's own. */
  clock?: Clock | undefined;
  /** The time of day in milliseconds since 1970, by which events are too old; default `Date.now`. */
  date?: (() => number) | undefined;
  /** Numbers in [0, 1); default `Math.random`. */
  random?: (() => number) | undefined;
}

/** How long the broker may take to answer, in milliseconds: longer than that, and it is taken for lost. */
const ANSWER_WITHIN = 3000;
/** How long the broker is asked to wait for new events, in milliseconds. */
const LONGEST_WAIT = 1000;
/** How long an append may take, and how much of that it may wait for those before it. Its publisher waits. */
const APPEND_WITHIN = 5000;
const APPEND_QUEUED_WITHIN = 3000;
/** The most bytes of appends that the broker has yet to answer, and that wait behind those. */
const APPENDING_BYTES = 4 * 1024 * 1024;
const QUEUED_BYTES = 64 * 1024 * 1024;
/** How long the opening of a stream waits for the broker: its client can come back. */
const OPENED_WITHIN = 5000;
/** For how long the broker may be out of reach when the log is opened, and from one attempt to the next. */
const OPEN_WITHIN = 5000;
const OPEN_PAUSE = 250;
/** How many of the epochs that are over are remembered. */
const MOST_LEFT = 1000;

/**
 * The log of a broker that several nodes share, as one of these nodes sees it: the newest part is in memory, read from
 * the broker once whatever the number of streams; what is older is asked for.
 *
 * The broker decides on the order. What is appended here is answered when the broker has it, and is shown, like what
 * others append, when it comes back through the broker.
 *
 * While the broker is out of reach, appends are refused and reads wait. A broker that has lost its log, or the end of
 * it, begins another epoch: the first node to see it makes it so, the others follow. Only that check creates anything in the
 * broker, and every epoch that it creates is new.
 */
export class BrokerLog implements EventLog {
  readonly #broker: Broker;
  readonly #limits: Limits;
  readonly #checkEvery: number;
  readonly #clock: Clock;
  readonly #date: () => number;
  readonly #random: () => number;
  readonly #fault: BrokerFault;
  readonly #connection: BrokerConnection;
  readonly #tail = new Tail();
  readonly #appends: Semaphore;
  /** Appends that have yet to be answered. */
  readonly #appending = new Set<Promise<unknown>>();
  /** What the broker was found to have that has yet to come, and since when. */
  #behind: { readonly last: Cursor; readonly since: number } | null = null;
  #state: BrokerState;
  #recent: RecentEvents;
  /** The epochs that were left here, oldest first: none of them is ever the log's again. */
  readonly #left = new Set<string>();
  /** The mark of the newest event that came. */
  #mark: string | null = null;
  /** Those who wait until an event has come. */
  readonly #arrivals = new Set<{ readonly cursor: Cursor; readonly resolve: () => void }>();
  /** Settled, and made anew, when the broker has told its state. */
  #checked = Promise.withResolvers<void>();
  #closed = false;

  constructor(
    broker: Broker,
    session: BrokerSession,
    state: BrokerState,
    limits: Limits,
    {
      window: bounds = {},
      checkEvery = 1000,
      onFault = () => {},
      clock = systemClock,
      date = Date.now,
      random = Math.random,
    }: BrokerLogOptions,
  ) {
    this.#broker = broker;
    const window = limitsOf(bounds, { ...MEMORY_LOG_DEFAULTS, maxAge: null });
    this.#limits = {
      maxEvents: Math.min(limits.maxEvents, window.maxEvents),
      maxBytes: Math.min(limits.maxBytes, window.maxBytes),
      maxAge: limits.maxAge,
    };
    this.#checkEvery = checkEvery;
    this.#clock = clock;
    this.#date = date;
    this.#random = random;
    this.#fault = new BrokerFault(clock, checkEvery, onFault);
    this.#appends = new Semaphore(APPENDING_BYTES, QUEUED_BYTES, clock);
    this.#state = state;
    this.#recent = this.#recentOf(state);
    this.#connection = new BrokerConnection(broker, session, clock, {
      begin: (opened) => this.#check(opened),
      follow: (opened) => Promise.race([this.#read(opened), this.#watch(opened)]),
      reached: (fault) => this.#fault.reach(fault),
    });
    this.#connection.start();
  }

  /** Null while the broker answers, and takes what is appended. */
  get fault(): string | null {
    return this.#fault.reason;
  }

  get connection(): Connection {
    return {
      up: this.#connection.session !== null,
      reconnects: this.#connection.reconnects,
      behind: this.#behind === null ? 0 : this.#clock.now() - this.#behind.since,
    };
  }

  get maxAppend(): number {
    return this.#broker.maxAppend;
  }

  bounds(): Bounds {
    this.#evict();
    const { epoch, inherited, events, bytes } = this.#state;
    const { last } = this.#recent;
    const first = Math.min(this.#state.first, last + 1);
    return {
      epoch,
      inherited,
      first,
      last,
      events: first > last ? 0 : events,
      bytes: first > last ? 0 : bytes,
    };
  }

  tail(listener: TailListener): () => void {
    return this.#tail.add(listener);
  }

  async append(batch: readonly NewEvent[]): Promise<readonly EventId[]> {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    this.#openSession();
    const deadline = this.#clock.now() + APPEND_WITHIN;
    const append = () => this.#append(batch, deadline);
    const answer = this.#appends.pass(weightOf(batch), append, APPEND_QUEUED_WITHIN);
    this.#appending.add(answer);
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof SemaphoreTimeout)) throw error;
      throw new HubError("log-failed", "more is published than the log takes; nothing was published");
    } finally {
      this.#appending.delete(answer);
    }
  }

  async #append(batch: readonly NewEvent[], deadline: number): Promise<readonly EventId[]> {
    const session = this.#openSession(); // it can be lost since this began to wait
    const { epoch } = this.#state;
    const recent = this.#recent;
    try {
      const left = deadline - this.#clock.now();
      const seqs = await within(
        this.#clock,
        left,
        session.append(epoch, recent.last, batch, (topic, id) => recent.published(topic, id)),
      );
      return seqs.map((seq) => formatEventId(epoch, seq));
    } catch (error) {
      throw this.#appendError(session, error, batch);
    }
  }

  #openSession(): BrokerSession {
    const { session } = this.#connection;
    if (session !== null) return session;
    throw new HubError("log-failed", `the log is out of reach (${this.fault}); nothing was published`);
  }

  #appendError(session: BrokerSession, error: unknown, batch: readonly NewEvent[]): HubError {
    if (error instanceof HubError) return error;
    if (error instanceof EpochMismatch || error instanceof BrokerRefusal) {
      if (error instanceof EpochMismatch)
        session.close(); // what it is now is found out anew
      else this.#fault.refuse(`${this.#broker.name}: ${error.message}`);
      const message = `the log does not take it (${error.message}); nothing was published`;
      return new HubError("log-failed", message, { cause: error });
    }
    // Several publishers can be in a batch, and are told the same.
    const advice = batch.every(({ idempotencyKey }) => idempotencyKey !== "")
      ? "publish again with the same id to be sure"
      : "publish again, with the same id where there was one; what had none may be there twice then";
    return new HubError(
      "log-failed",
      `no answer from the log (${words(error)}): it may have been published; ${advice}`,
      { cause: error },
    );
  }

  position(request: PositionRequest): MaybePromise<Position> {
    if (!this.#isAhead(request.lastEventId)) {
      const here = this.#positionHere(request);
      if (here !== null) return here;
    }
    const deadline = this.#clock.now() + OPENED_WITHIN;
    return this.#connection.ask((session) => this.#position(session, request, deadline), OPENED_WITHIN);
  }

  #positionHere(request: PositionRequest): Position | null {
    const bounds = this.bounds();
    return this.#recent.position(parseLastEventId(request.lastEventId, bounds), request, bounds, false);
  }

  async #position(session: BrokerSession, request: PositionRequest, deadline: number): Promise<Position> {
    await this.#untilHere(session, request.lastEventId, deadline);
    const here = this.#positionHere(request);
    if (here !== null) return here;
    // What is shown here, and what is known here, is of this moment; what the broker says of later ones is cut off at it.
    const bounds = this.bounds();
    const { epoch, last: upTo } = bounds;
    const lastSeen = parseLastEventId(request.lastEventId, bounds);
    const { selectors, replay, counted } = request;
    const after = lastSeen.cursor ?? this.#recent.rewind(replay, selectors);
    const known = selectors.topics.map((topic) => this.#recent.end(topic));
    const found = await session.position(epoch, { selectors, after, last: replay, upTo, counted });
    if (this.#state.epoch !== epoch) return await this.#position(session, request, deadline);
    const ends = known.map((end, at) => end ?? (found.ends[at]! > upTo ? 0 : found.ends[at]!));
    return toPosition(lastSeen, bounds, {
      from: Math.min(found.from, upTo),
      replayed: found.replayed,
      ends,
    });
  }

  #isAhead(lastEventId: string): boolean {
    const id = parseEventId(lastEventId);
    return id !== null && id.epoch === this.#state.epoch && id.cursor > this.#recent.last;
  }

  /**
   * Resolves when the event of an id from ahead is here, or when the broker does not have it either: a client comes from
   * another node that was faster, or makes it up.
   */
  async #untilHere(session: BrokerSession, lastEventId: string, deadline: number): Promise<void> {
    if (!this.#isAhead(lastEventId)) return;
    const { epoch } = this.#state;
    const { cursor } = parseEventId(lastEventId)!;
    const state = await session.state(0);
    if (this.#state.epoch !== epoch) return;
    if (state?.epoch !== epoch) throw new EpochMismatch("the log is in another epoch");
    if (state.last >= cursor) await this.#arrival(cursor, deadline - this.#clock.now());
  }

  /** Resolves when the event has come, or the epoch is over. */
  async #arrival(cursor: Cursor, timeout: number): Promise<void> {
    if (cursor <= this.#recent.last) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const arrival = { cursor, resolve };
    this.#arrivals.add(arrival);
    try {
      await within(this.#clock, timeout, promise);
    } catch {
      throw new HubError("log-failed", "the log is behind: it has not read yet what the client has seen");
    } finally {
      this.#arrivals.delete(arrival);
    }
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): MaybePromise<Page> {
    this.#evict();
    if (this.#recent.floor(after, selectors) <= after) return this.#recent.read(after, selectors, limits);
    const { epoch } = this.#state;
    // A stream that is open stays open.
    return this.#connection.ask((session) => this.#page(session, epoch, after, selectors, limits), Infinity);
  }

  async #page(
    session: BrokerSession,
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    limits: ReadLimits,
  ): Promise<Page> {
    const { latest = false, bytes } = limits;
    // The cursor means nothing in another epoch: nothing was considered.
    const none: Page = { from: after, entries: [], superseded: [0], cursor: after };
    if (this.#state.epoch !== epoch) return none;
    const upTo = Math.min(limits.upTo, this.#before(after));
    const page = await session.page(epoch, after, selectors, { bytes, upTo, latest });
    if (this.#state.epoch !== epoch) return none;
    const found = new PageBuilder<StoredEvent>(bytes);
    let cursor = Math.min(page.cursor, Math.max(after, upTo));
    for (const { seq, event } of page.kept) {
      const entry = storedEvent(epoch, seq, event);
      const isOutdated = page.outdated.has(seq) || this.#recent.newest(event) > seq;
      if (latest && !event.end && isOutdated) found.drop(seq);
      else if (!found.take(entry, seq, entry.bytes)) {
        cursor = found.end;
        break;
      }
    }
    // What follows is here, whatever the broker has evicted; unless it has just gone from here as well.
    if (cursor === upTo && this.#before(upTo) === upTo)
      cursor = this.#recent.extend(found, upTo, selectors, limits);
    const from = Math.min(page.from, Math.max(after, upTo));
    const { items: entries, superseded } = found;
    return latest ? { from, entries, superseded, cursor } : { from, entries, cursor };
  }

  /** Resolves when the broker has answered a question for its state that was not asked before now. */
  async checked(): Promise<void> {
    await this.#checked.promise; // of one that may have been under way
    await this.#checked.promise;
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      await Promise.allSettled(this.#appending);
      for (const { resolve } of this.#arrivals) resolve();
    }
    await this.#connection.close();
  }

  #evict(): void {
    this.#recent.evict(this.#date());
  }

  /**
   * The last event that has to be asked for, after a cursor: the newest part is here. A server of a cluster that answers
   * can be a moment behind the one that the tail reads.
   */
  #before(after: Cursor): Cursor {
    this.#evict();
    return Math.max(after, this.#recent.first - 1);
  }

  async #read(session: BrokerSession): Promise<void> {
    while (this.#connection.isCurrent(session)) {
      const { epoch } = this.#state;
      const { last } = this.#recent;
      const { from, kept } = await within(
        this.#clock,
        LONGEST_WAIT + ANSWER_WITHIN,
        session.next(epoch, last, LONGEST_WAIT),
      );
      if (!this.#connection.isCurrent(session) || this.#state.epoch !== epoch) continue; // of an epoch that is over
      if (from > last) this.#skip(from);
      const follows = kept[0]?.follows ?? this.#mark;
      if (this.#mark !== null && follows !== this.#mark)
        throw new EpochMismatch("what follows in the log is not what followed");
      this.#take(kept);
    }
  }

  async #watch(session: BrokerSession): Promise<void> {
    while (this.#connection.isCurrent(session)) {
      await this.#connection.pause(this.#checkEvery);
      if (this.#connection.isCurrent(session)) await this.#check(session);
      this.#checked.resolve();
      this.#checked = Promise.withResolvers();
    }
  }

  /** Finds out whether this is still the log that it was, and begins another epoch when it is not. */
  async #check(session: BrokerSession): Promise<void> {
    const { last } = this.#recent;
    const { epoch } = this.#state;
    const mark = this.#mark;
    const ask = async (): Promise<BrokerState> => {
      const answer = await within(
        this.#clock,
        ANSWER_WITHIN,
        stateOf(session, last, () => this.#newEpoch(), epoch),
      );
      // Late answers of a session that is over must not undo what has been learned since.
      if (!this.#connection.isCurrent(session)) throw new Error("the session is over");
      return answer;
    };
    let state = await ask();
    const isLost = state.last < last || (state.mark !== null && mark !== null && state.mark !== mark);
    // An epoch that was left comes back with an old copy of the log: its numbers have been given to other events since.
    if (state.epoch === epoch ? isLost : this.#left.has(state.epoch)) {
      await within(this.#clock, ANSWER_WITHIN, session.renew(state.epoch, this.#newEpoch()));
      state = await ask();
    }
    this.#state = state;
    // Of what was there before this node was, and is evicted.
    if (state.epoch === epoch && this.#mark === null && this.#recent.last === last) this.#mark = state.mark;
    this.#fault.check(state.refusal === null ? null : `${this.#broker.name}: ${state.refusal}`);
    // What is gone from there as well will not come.
    const isBehind = state.last > this.#recent.last && state.first <= state.last;
    if (!isBehind || state.epoch !== epoch) this.#behind = null;
    else this.#behind ??= { last: state.last, since: this.#clock.now() };
    if (state.epoch !== epoch) this.#leave(epoch);
  }

  /** One that the log never had, as far as is known here. */
  #newEpoch(): string {
    for (;;) {
      const epoch = createEpoch(this.#random);
      if (epoch !== this.#state.epoch && !this.#left.has(epoch)) return epoch;
    }
  }

  /** The log is in another epoch, which this follows. */
  #leave(epoch: string): void {
    this.#left.add(epoch);
    if (this.#left.size > MOST_LEFT) this.#left.delete(this.#left.values().next().value!);
    this.#recent = this.#recentOf(this.#state);
    this.#mark = null;
    for (const { resolve } of this.#arrivals) resolve();
    this.#tail.reset();
  }

  /** For all that follows; and for some of what stands before it, which streams that come back want. */
  #recentOf({ recent, inherited }: BrokerState): RecentEvents {
    return new RecentEvents(this.#limits, Math.max(recent, inherited));
  }

  /** What stood before this cursor came too late, or never: it is evicted. */
  #skip(from: Cursor): void {
    this.#recent = new RecentEvents(this.#limits, from);
    this.#mark = null;
    this.#arrived();
    this.#tail.skip();
  }

  #take(kept: readonly BrokerRecord[]): void {
    if (kept.length === 0) return;
    const entries = kept.map(({ seq, event }) => storedEvent(this.#state.epoch, seq, event));
    for (const [at, entry] of entries.entries()) this.#recent.push(entry, kept[at]!.time);
    this.#mark = kept.at(-1)!.mark;
    this.#evict();
    this.#arrived();
    this.#tail.append(entries);
  }

  #arrived(): void {
    const { last } = this.#recent;
    if (this.#behind !== null && last >= this.#behind.last) this.#behind = null;
    for (const { cursor, resolve } of this.#arrivals) if (cursor <= last) resolve();
  }
}

/**
 * A log that has connected, and has read the newest part.
 *
 * @throws HubError `log-failed`: at once when the broker refuses, or when it is out of reach for some seconds
 */
export async function openBrokerLog(
  broker: Broker,
  limits: Limits,
  options: BrokerLogOptions,
): Promise<BrokerLog> {
  const { clock = systemClock, random = Math.random } = options;
  const deadline = clock.now() + OPEN_WITHIN;
  for (;;) {
    let session: BrokerSession | null = null;
    try {
      session = await within(clock, OPEN_WITHIN, broker.connect(), (late) => late.close());
      const state = await within(
        clock,
        ANSWER_WITHIN,
        stateOf(session, 0, () => createEpoch(random), ""),
      );
      const log = new BrokerLog(broker, session, state, limits, options);
      await untilRead(log, state);
      return log;
    } catch (error) {
      session?.close();
      if (error instanceof BrokerRefusal)
        throw new HubError("log-failed", `${broker.name}: ${error.message}`);
      if (clock.now() > deadline) {
        throw new HubError("log-failed", `${broker.name} is out of reach: ${words(error)}`, { cause: error });
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      clock.after(OPEN_PAUSE, resolve);
      await promise;
    }
  }
}

/** As a client waits that has seen the newest event; not for longer, as the log is of use without it. */
async function untilRead(log: BrokerLog, { epoch, last }: BrokerState): Promise<void> {
  const lastEventId = formatEventId(epoch, last);
  const selectors = new SelectorSet(["**"]);
  await Promise.resolve(log.position({ selectors, lastEventId, replay: 0, counted: false })).catch(() => {});
}

/** What the log is, which is begun when there is none. @param former the epoch that it had */
async function stateOf(
  session: BrokerSession,
  seen: Cursor,
  newEpoch: () => string,
  former: string,
): Promise<BrokerState> {
  const found = await session.state(seen);
  if (found !== null) return found;
  await session.create(newEpoch(), former);
  const made = await session.state(seen);
  if (made === null) throw new Error("the log was gone again as soon as it was made");
  return made;
}

function weightOf(batch: readonly NewEvent[]): number {
  return batch.reduce(
    (sum, { topic, key, idempotencyKey, type, data }) =>
      sum + topic.length + key.length + idempotencyKey.length + type.length + data.length + ENTRY_BYTES,
    0,
  );
}
