import type { Cursor, EventId } from "../src/log/event-id.ts";
import type { NewEvent } from "../src/publish/message.ts";
import {
  type Broker,
  type BrokerPage,
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  type BrokerRecord,
  EpochMismatch,
} from "../src/log/broker/broker.ts";
import type { SelectorSet } from "../src/topics/topic.ts";

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
  /** Why reads of what is not in memory fail, although everything else goes on. */
  unreadable: Error | null = null;
  #marks = 0;
  #arrival = Promise.withResolvers<void>();

  get last(): Cursor {
    return this.kept.at(-1)?.seq ?? this.first - 1;
  }

  put(...events: readonly NewEvent[]): Cursor[] {
    const seqs = events.map((event) => {
      const seq = this.last + 1;
      this.kept.push({ seq, time: Date.now(), mark: `${this.#marks++}`, event });
      return seq;
    });
    this.wake();
    return seqs;
  }

  evict(count: number): void {
    this.first += count;
    this.kept = this.kept.slice(count);
  }

  /** As one that was put back: the newest events are gone, and their numbers are free. */
  lose(count: number): void {
    this.kept = this.kept.slice(0, -count);
  }

  wake(): void {
    this.#arrival.resolve();
    this.#arrival = Promise.withResolvers();
  }

  async arrival(wait: number): Promise<void> {
    await Promise.race([this.#arrival.promise, Bun.sleep(wait)]);
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
    if (epoch !== this.#broker.epoch) throw new EpochMismatch("another life");
    return this.#broker;
  }

  async state(seen: Cursor, fresh: string): Promise<BrokerState> {
    const broker = this.#ask();
    if (broker.epoch === "") broker.epoch = fresh;
    const { epoch, first, last, kept, inherited } = broker;
    const mark = kept.find(({ seq }) => seq === seen)?.mark ?? null;
    return {
      epoch,
      first,
      last,
      events: kept.length,
      bytes: 0,
      recent: first - 1,
      inherited,
      mark,
      refusal: this.#broker.refusal,
    };
  }

  async renew(epoch: string, fresh: string): Promise<void> {
    const broker = this.#ask(epoch);
    broker.epoch = fresh;
    broker.inherited = broker.last;
  }

  async next(
    epoch: string,
    after: Cursor,
    wait: number,
  ): Promise<{ from: Cursor; kept: readonly BrokerRecord[] }> {
    if (this.#ask(epoch).last <= after) await this.#broker.arrival(wait);
    const { first, kept, isHeld } = this.#ask(epoch);
    if (isHeld) {
      await Bun.sleep(1);
      return { from: after, kept: [] };
    }
    return { from: Math.max(after, first - 1), kept: kept.filter(({ seq }) => seq > after) };
  }

  async append(epoch: string, _seen: Cursor, batch: readonly NewEvent[]): Promise<readonly Cursor[]> {
    this.#broker.appends.push(batch.length);
    if (this.#broker.isAtLimit) throw new BrokerRefusal("full");
    const seqs = this.#ask(epoch).put(...batch);
    if (this.#broker.isMute) this.#broker.isDown = true;
    this.#ask(epoch);
    return seqs;
  }

  async page(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    { upTo }: { upTo: Cursor },
  ): Promise<BrokerPage> {
    const { kept, first, unreadable } = this.#ask(epoch);
    if (unreadable !== null) throw unreadable;
    const from = Math.max(after, first - 1);
    const selected = kept.filter(
      ({ seq, event }) => seq > from && seq <= upTo && selectors.matches(event.topic),
    );
    return { from, kept: selected, outdated: new Set(), cursor: Math.max(from, upTo) };
  }

  async survey(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    upTo: Cursor,
  ): Promise<{ from: Cursor; events: number }> {
    const { from, kept } = await this.page(epoch, after, selectors, { upTo });
    return { from, events: kept.length };
  }

  async rewind(epoch: string): Promise<Cursor> {
    return this.#ask(epoch).first - 1;
  }

  async ends(epoch: string, topics: readonly string[]): Promise<readonly Cursor[]> {
    this.#ask(epoch);
    return topics.map(() => 0);
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
