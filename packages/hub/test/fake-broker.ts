import { type Clock, systemClock } from "../src/clock.ts";
import type { Cursor, EventId } from "../src/log/event-id.ts";
import type { NewEvent } from "../src/log/new-event.ts";
import {
  type Broker,
  type BrokerAppend,
  type BrokerPage,
  type BrokerPosition,
  type BrokerQuestion,
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  type BrokerRecord,
  EpochMismatch,
} from "../src/log/broker/broker.ts";
import type { SelectorSet, Topic } from "../src/topics/topic.ts";

/** A broker in this process, to which everything happens when told to. */
export class FakeBroker implements Broker {
  readonly name = "the fake broker";
  maxAppend = Infinity;
  /** How many events came in each append. */
  readonly appends: number[] = [];
  epoch = "";
  inherited: Cursor = 0;
  first: Cursor = 1;
  kept: BrokerRecord[] = [];
  /** How many of the newest events a node is told to read at its start. */
  recent = Infinity;
  /** Fails every question, and every connection. */
  isDown = false;
  /** Why it takes no events. */
  refusal: string | null = null;
  /** Refuses events, though it does not say so when it is asked. */
  isAtLimit = false;
  /** Gives nothing of what comes to those who wait for it. */
  isHeld = false;
  /** Keeps what is appended, and gives no answer. */
  isMute = false;
  /** Gives no answer to appends, and keeps nothing. */
  isHanging = false;
  /** When it answers questions of these kinds, by what it had when it was asked. */
  readonly answers = { state: Promise.resolve(), page: Promise.resolve(), position: Promise.resolve() };
  /** Why reads of what is not in memory fail, although everything else goes on. */
  unreadable: Error | null = null;
  /** Topics whose last event ended them and is evicted. */
  readonly ended = new Map<Topic, Cursor>();
  readonly clock: Clock;
  readonly #date: () => number;
  #marks = 0;
  /** Of the newest event, which can be evicted. */
  #mark = "";
  #arrival = Promise.withResolvers<void>();

  constructor(clock: Clock = systemClock, date: () => number = Date.now) {
    this.clock = clock;
    this.#date = date;
  }

  get last(): Cursor {
    return this.kept.at(-1)?.seq ?? this.first - 1;
  }

  put(...events: readonly NewEvent[]): Cursor[] {
    const seqs = events.map((event) => {
      const seq = this.last + 1;
      const mark = `${++this.#marks}`;
      this.kept.push({ seq, time: this.#date(), mark, follows: this.#mark, event });
      this.#mark = mark;
      return seq;
    });
    this.wake();
    return seqs;
  }

  /** The newest event has one also when it is evicted. */
  markOf(seen: Cursor): string | null {
    return this.kept.find(({ seq }) => seq === seen)?.mark ?? (seen === this.last ? this.#mark : null);
  }

  evict(count: number): void {
    this.first += count;
    for (const { seq, event } of this.kept.splice(0, count)) {
      if (event.end) this.ended.set(event.topic, seq);
      else this.ended.delete(event.topic);
    }
  }

  /** As one that was put back: the newest events are gone, and their numbers are free. */
  lose(count: number): void {
    const lost = this.kept.splice(-count);
    this.#mark = lost[0]!.follows!;
  }

  /** A copy of the log, and how it is put back. */
  copy(): () => void {
    const { epoch, inherited, first, kept } = this;
    const [copies, ended, mark] = [kept.slice(), [...this.ended], this.#mark];
    return () => {
      Object.assign(this, { epoch, inherited, first, kept: copies.slice() });
      this.ended.clear();
      for (const [topic, seq] of ended) this.ended.set(topic, seq);
      this.#mark = mark;
      this.wake();
    };
  }

  /** As one that has lost everything. */
  wipe(): void {
    this.epoch = "";
    this.inherited = 0;
    this.first = 1;
    this.kept = [];
    this.ended.clear();
  }

  wake(): void {
    this.#arrival.resolve();
    this.#arrival = Promise.withResolvers();
  }

  /** Resolves when something has come, or after so many milliseconds. */
  async arrival(wait: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const cancel = this.clock.after(wait, late.resolve);
    await Promise.race([this.#arrival.promise, late.promise]);
    cancel();
  }

  async connect(): Promise<BrokerSession> {
    if (this.isDown) throw new Error("down");
    return new FakeSession(this);
  }
}

class FakeSession implements BrokerSession {
  readonly #broker: FakeBroker;
  #closed = false;

  constructor(broker: FakeBroker) {
    this.#broker = broker;
  }

  #ask(epoch: string = this.#broker.epoch): FakeBroker {
    if (this.#broker.isDown || this.#closed) throw new Error("down");
    if (epoch !== this.#broker.epoch) throw new EpochMismatch("another epoch");
    return this.#broker;
  }

  async state(seen: Cursor): Promise<BrokerState | null> {
    const broker = this.#ask();
    const { epoch, first, last, kept, inherited, refusal } = broker;
    if (epoch === "") return null;
    const mark = broker.markOf(seen);
    const recent = Math.max(first - 1, last - broker.recent);
    const events = kept.length;
    await broker.answers.state;
    return { epoch, first, last, events, bytes: 0, recent, inherited, mark, refusal };
  }

  async create(epoch: string): Promise<void> {
    const broker = this.#ask();
    if (broker.epoch === "") broker.epoch = epoch;
  }

  async renew(epoch: string, fresh: string): Promise<void> {
    const broker = this.#ask();
    if (broker.epoch !== epoch) return;
    broker.epoch = fresh;
    broker.inherited = broker.last;
  }

  async next(
    epoch: string,
    after: Cursor,
    wait: number,
  ): Promise<{ from: Cursor; kept: readonly BrokerRecord[] }> {
    const broker = this.#ask(epoch);
    if (broker.last <= after) await broker.arrival(wait);
    const { first, kept, isHeld } = this.#ask(epoch);
    if (isHeld) {
      await new Promise<void>((resolve) => void broker.clock.after(1, resolve));
      return { from: after, kept: [] };
    }
    return { from: Math.max(after, first - 1), kept: kept.filter(({ seq }) => seq > after) };
  }

  async append(epoch: string, seen: Cursor, batch: readonly NewEvent[]): Promise<BrokerAppend> {
    this.#broker.appends.push(batch.length);
    if (this.#broker.isHanging) return await new Promise<never>(() => {});
    if (this.#broker.isAtLimit) throw new BrokerRefusal("full");
    if (this.#ask(epoch).last < seen) throw new EpochMismatch("its end is lost");
    const cursors = this.#broker.put(...batch);
    if (this.#broker.isMute) this.#broker.isDown = true;
    const { kept } = this.#ask(epoch);
    return { cursors, mark: kept.at(-1)!.mark };
  }

  async page(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    { upTo }: { upTo: Cursor },
  ): Promise<BrokerPage> {
    const { unreadable, answers } = this.#ask(epoch);
    if (unreadable !== null) throw unreadable;
    const { from, kept } = this.#select(after, selectors, upTo);
    await answers.page;
    return { from, kept, outdated: new Set(), cursor: Math.max(from, upTo) };
  }

  #select(after: Cursor, selectors: SelectorSet, upTo: Cursor) {
    const { kept, first } = this.#broker;
    const from = Math.max(after, first - 1);
    const isSelected = ({ seq, event }: BrokerRecord): boolean =>
      seq > from && seq <= upTo && selectors.matches(event.topic);
    return { from, kept: kept.filter(isSelected) };
  }

  async position(
    epoch: string,
    { selectors, after, last, upTo, counted }: BrokerQuestion,
  ): Promise<BrokerPosition> {
    const { unreadable, kept, ended, answers } = this.#ask(epoch);
    if (unreadable !== null) throw unreadable;
    const all = this.#select(0, selectors, upTo);
    const begin = after ?? (last === 0 ? upTo : (all.kept.at(-last)?.seq ?? 1) - 1);
    const found = this.#select(begin, selectors, upTo);
    const ends = selectors.topics.map((topic) => {
      const newest = kept.findLast(({ seq, event }) => seq <= upTo && event.topic === topic);
      return newest === undefined ? (ended.get(topic) ?? 0) : newest.event.end ? newest.seq : 0;
    });
    await answers.position;
    return { from: found.from, replayed: counted ? found.kept.length : 0, ends };
  }

  close(): void {
    this.#closed = true;
    this.#broker.wake();
  }
}

/** The number of an id. */
export function numberOf(id: EventId): Cursor {
  return Number(id.split("-")[1]);
}
