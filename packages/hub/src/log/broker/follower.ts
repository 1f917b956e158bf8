import type { Clock } from "../../clock.ts";
import { type StoredEvent, storedEvent } from "../stored-event.ts";
import type { Cursor } from "../event-id.ts";
import type { Bounds } from "../event-log.ts";
import { RecentEvents } from "../recent-events.ts";
import type { Limits } from "../retention.ts";
import { TailListeners } from "../tail-listeners.ts";
import {
  type Broker,
  type BrokerRecord,
  type BrokerSession,
  type BrokerState,
  EpochMismatch,
} from "./broker.ts";
import { BrokerConnection, type SessionUser } from "./connection.ts";
import type { Beginning, Epochs } from "./epochs.ts";
import type { BrokerFault } from "./fault.ts";
import { within } from "./timing.ts";

/**
 * What a node knows of a broker's log: what it is, and the newest part of it. Reads on from there, and asks again and again
 * whether it is still the same log; the only place where anything is created in a broker.
 */
export class Follower implements SessionUser {
  readonly connection: BrokerConnection;
  readonly tail = new TailListeners();
  readonly #broker: Broker;
  readonly #settings: FollowerSettings;
  #state: BrokerState;
  #recent: RecentEvents;
  /** The mark of the newest event that is here. */
  #mark: string | null;
  /** The marks of events that publishers were told are kept, and that have yet to come back: a loss of them is seen as well. */
  readonly #acknowledged = new Map<Cursor, string>();
  /** What the log went on with did not follow that: its end is lost, though the broker may have evicted what would show it. */
  #isLost = false;
  /** What the broker was found to have that has yet to come, and since when. */
  #behind: { readonly last: Cursor; readonly since: number } | null = null;
  /** Those who wait until an event has come. */
  readonly #arrivals = new Set<{ readonly cursor: Cursor; readonly resolve: () => void }>();
  /** Settled, and made anew, when the broker has told its state. */
  #checked = Promise.withResolvers<void>();

  constructor(broker: Broker, session: BrokerSession, beginning: Beginning, settings: FollowerSettings) {
    this.#broker = broker;
    this.#settings = settings;
    this.#state = beginning;
    this.#recent = new RecentEvents(settings.limits, settings.clock, beginning.cursor);
    this.#mark = beginning.mark;
    this.connection = new BrokerConnection(broker, session, settings.clock, this);
    this.connection.start();
  }

  get epoch(): string {
    return this.#state.epoch;
  }

  /** What is in memory; what is too old is gone. Another one when the log is in another epoch, or goes on after a hole. */
  get recent(): RecentEvents {
    this.#recent.evict(this.#settings.date());
    return this.#recent;
  }

  bounds(): Bounds {
    const { epoch, inherited, events, bytes } = this.#state;
    const { last } = this.recent;
    const first = Math.min(this.#state.first, last + 1);
    const isEmpty = first > last;
    return { epoch, inherited, first, last, events: isEmpty ? 0 : events, bytes: isEmpty ? 0 : bytes };
  }

  /** For how long, in milliseconds, the broker has had events that are not here; 0: it has none. */
  get behind(): number {
    return this.#behind === null ? 0 : this.#settings.clock.now() - this.#behind.since;
  }

  /**
   * Resolves when the event is here, or the epoch is over.
   *
   * @param timeout in milliseconds; it is rejected when that takes longer
   */
  async arrival(cursor: Cursor, timeout: number): Promise<void> {
    if (cursor <= this.#recent.last) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const arrival = { cursor, resolve };
    this.#arrivals.add(arrival);
    try {
      await within(this.#settings.clock, timeout, promise);
    } finally {
      this.#arrivals.delete(arrival);
    }
  }

  /** Resolves when the broker has answered a question for its state that was not asked before now. */
  async checked(): Promise<void> {
    await this.#checked.promise; // of one that may have been under way
    await this.#checked.promise;
  }

  /** The broker has answered that it has this event. */
  acknowledge(epoch: string, cursor: Cursor, mark: string): void {
    // The first one stays: when its number is given again, it was lost.
    const isNew = cursor > this.#recent.last && !this.#acknowledged.has(cursor);
    if (epoch === this.#state.epoch && isNew) this.#acknowledged.set(cursor, mark);
  }

  async close(): Promise<void> {
    for (const { resolve } of this.#arrivals) resolve();
    await this.connection.close();
  }

  reached(fault: string | null): void {
    this.#settings.fault.reach(fault);
  }

  /** Finds out whether this is still the log that it was, and begins another epoch when it is not. */
  async begin(session: BrokerSession): Promise<void> {
    const { epochs } = this.#settings;
    const { epoch } = this.#state;
    const last = this.#recent.last;
    const newest = Math.max(last, ...this.#acknowledged.keys());
    const mark = this.#acknowledged.get(newest) ?? this.#mark;
    let state = await this.#answer(session, epochs.stateOf(session, newest, epoch));
    const isOther = state.mark !== null && mark !== null && state.mark !== mark;
    const isLost = this.#isLost || state.last < newest || isOther;
    // An epoch that was left comes back with an old copy of the log: its numbers have been given to other events since.
    if (state.epoch === epoch ? isLost : epochs.hasLeft(state.epoch)) {
      await this.#answer(session, session.renew(state.epoch, epochs.create(state.epoch)));
      state = await this.#answer(session, epochs.stateOf(session, last, epoch));
    }
    if (state.epoch !== epoch) {
      const beginning = await this.#answer(session, epochs.beginningOf(session, epoch));
      if (beginning.epoch !== state.epoch) throw new Error("the log has just changed");
      this.#enter(beginning);
      return;
    }
    this.#learn(state);
    // The newest event can have been evicted before this node was there: it is known by its mark all the same.
    if (this.#mark === null && this.#recent.last === newest) this.#mark = state.mark;
    // What is gone from there as well will not come.
    if (state.last <= this.#recent.last || state.first > state.last) this.#behind = null;
    else this.#behind ??= { last: state.last, since: this.#settings.clock.now() };
  }

  async #answer<T>(session: BrokerSession, question: Promise<T>): Promise<T> {
    const answer = await within(this.#settings.clock, ANSWER_WITHIN, question);
    // Late answers of a session that is over must not undo what has been learned since.
    if (!this.connection.isCurrent(session)) throw new Error("the session is over");
    return answer;
  }

  #learn(state: BrokerState): void {
    this.#state = state;
    this.#settings.fault.check(state.refusal === null ? null : `${this.#broker.name}: ${state.refusal}`);
  }

  /** The log is in another epoch, which this follows. */
  #enter(beginning: Beginning): void {
    this.#settings.epochs.leave(this.#state.epoch);
    this.#learn(beginning);
    const { limits, clock } = this.#settings;
    this.#recent = new RecentEvents(limits, clock, beginning.cursor);
    this.#mark = beginning.mark;
    this.#isLost = false;
    this.#acknowledged.clear();
    this.#behind = null;
    for (const { resolve } of this.#arrivals) resolve();
    this.tail.reset();
  }

  /** Reads on, and checks now and then, until one of them fails. */
  async follow(session: BrokerSession): Promise<void> {
    await Promise.race([this.#read(session), this.#watch(session)]);
  }

  async #read(session: BrokerSession): Promise<void> {
    while (this.connection.isCurrent(session)) {
      const { epoch } = this.#state;
      const { last } = this.#recent;
      const next = session.next(epoch, last, LONGEST_WAIT);
      const { from, kept } = await within(this.#settings.clock, LONGEST_WAIT + ANSWER_WITHIN, next);
      if (!this.connection.isCurrent(session) || this.#state.epoch !== epoch) continue; // of an epoch that is over
      if (from > last) this.#skip(from);
      if (kept.length > 0) this.#take(kept);
    }
  }

  async #watch(session: BrokerSession): Promise<void> {
    while (this.connection.isCurrent(session)) {
      await this.connection.pause(this.#settings.checkEvery);
      if (this.connection.isCurrent(session)) await this.begin(session);
      this.#checked.resolve();
      this.#checked = Promise.withResolvers();
    }
  }

  /** What stood before this cursor came too late, or never: it is evicted. */
  #skip(from: Cursor): void {
    const { limits, clock } = this.#settings;
    this.#recent = new RecentEvents(limits, clock, from);
    this.#mark = null;
    this.#arrived();
    this.tail.skip();
  }

  #take(kept: readonly BrokerRecord[]): void {
    const [first] = kept;
    const isOther = kept.some(({ seq, mark }) => (this.#acknowledged.get(seq) ?? mark) !== mark);
    if (isOther || (this.#mark !== null && (first!.follows ?? this.#mark) !== this.#mark)) {
      this.#isLost = true;
      throw new EpochMismatch("what the log goes on with does not follow what it had");
    }
    const entries: StoredEvent[] = [];
    for (const { seq, event, time } of kept) {
      const entry = storedEvent(this.#state.epoch, seq, event);
      entries.push(entry);
      this.#recent.push(entry, time);
    }
    this.#mark = kept.at(-1)!.mark;
    this.#recent.evict(this.#settings.date());
    this.#arrived();
    this.tail.append(entries);
  }

  #arrived(): void {
    const { last } = this.#recent;
    if (this.#behind !== null && last >= this.#behind.last) this.#behind = null;
    for (const cursor of this.#acknowledged.keys()) if (cursor <= last) this.#acknowledged.delete(cursor);
    for (const { cursor, resolve } of this.#arrivals) if (cursor <= last) resolve();
  }
}

export interface FollowerSettings {
  /** Of what is kept in memory. */
  readonly limits: Limits;
  /** How often the broker is asked for its state, in milliseconds. */
  readonly checkEvery: number;
  readonly clock: Clock;
  readonly date: () => number;
  readonly epochs: Epochs;
  readonly fault: BrokerFault;
}

/** How long the broker may take to answer, in milliseconds: longer than that, and it is taken for lost. */
export const ANSWER_WITHIN = 3000;
/** How long the broker is asked to wait for new events, in milliseconds. */
const LONGEST_WAIT = 1000;
