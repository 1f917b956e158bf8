import { createEpoch, type Cursor, type EventId, formatEventId } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import { type StoredEvent, storedEvent, type NewEvent } from "../../publish/message.ts";
import type {
  Bounds,
  Connection,
  EventLog,
  MaybePromise,
  Page,
  ReadLimits,
  TailListener,
} from "../event-log.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import {
  type Broker,
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  type BrokerRecord,
  EpochMismatch,
} from "./broker.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { PageBuilder } from "../page-builder.ts";
import { type Limits, limitsOf, type Retention } from "../retention.ts";
import { Tail } from "../tail.ts";
import { RecentEvents } from "../recent-events.ts";

export interface BrokerLogOptions extends Retention {
  /** How much of the newest part of the log is kept in memory, beside the bounds of the log; default {@link MEMORY_LOG_DEFAULTS}. */
  window?: { maxEvents?: number; maxBytes?: number } | undefined;
  /** How often, in milliseconds, the broker is asked for its state; default 1,000. */
  checkEvery?: number | undefined;
  /** Told that the log cannot keep events, as the broker is out of reach or refuses them, and why; null: it can again. */
  onFault?: ((fault: string | null) => void) | undefined;
  /** Numbers in [0, 1); default `Math.random`. */
  random?: (() => number) | undefined;
}

/** How long the broker may take to answer, in milliseconds: longer than that, and it is taken for lost. */
const ANSWER_WITHIN = 3000;
/** How long the broker is asked to wait for new events, in milliseconds. */
const LONGEST_WAIT = 1000;
/** How long an append may take. Its publisher waits. */
const APPEND_WITHIN = 5000;
/** How long the opening of a stream waits for the broker: its client can come back. */
const OPENED_WITHIN = 5000;
/** How long a read may take before it is asked again: as much as a scan of a large log. */
const READ_WITHIN = 30_000;
/** From one try to connect to the next: at first, and at most. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1000;
/** For how long the broker may be out of reach when the log is opened. */
const OPEN_WITHIN = 5000;
/** How many of the lives that are over are remembered. */
const MOST_LEFT = 1000;
/**
 * For how many checks a broker is taken to refuse what it has refused: near its limits it takes some events and not others,
 * and that is not to be told each time.
 */
const REFUSAL_CHECKS = 5;
/** How often a read that fails although the broker is there is tried. */
const TRIES = 3;

/**
 * The log of a broker that several nodes share, as one of these nodes sees it: the newest part is in memory, read from
 * the broker once whatever the number of streams; what is older is asked for.
 *
 * The broker decides on the order. What is appended here is answered when the broker has it, and is shown, like what
 * others append, when it comes back through the broker.
 *
 * While the broker is out of reach, appends are refused and reads wait. A broker that has lost its log, or the end of
 * it, begins another life of the log: the first node to see it makes it so, the others follow.
 */
export class BrokerLog implements EventLog {
  readonly #broker: Broker;
  readonly #limits: Limits;
  readonly #checkEvery: number;
  readonly #onFault: (fault: string | null) => void;
  readonly #random: () => number;
  readonly #tail = new Tail();
  /** Null while the broker is out of reach. */
  #session: BrokerSession | null;
  #fault: string | null = null;
  /** Why the broker takes no events although it answers. */
  #refusal: string | null = null;
  /** When it refused an append. */
  #refusedAt = -Infinity;
  /** What was told of that. */
  #told: string | null = null;
  #reconnects = 0;
  /** What the broker was found to have that has yet to come, and since when. */
  #behind: { readonly last: Cursor; readonly since: number } | null = null;
  /** Settled when there is a session again. */
  #connected = Promise.withResolvers<void>();
  #state: BrokerState;
  #window: RecentEvents;
  /** The epochs that were left here, oldest first: none of them is ever the log's again. */
  readonly #left = new Set<string>();
  /** The mark of the newest event that came. */
  #mark: string | null = null;
  /** Those who wait until an event has come. */
  #waiting: { readonly cursor: Cursor; readonly resolve: () => void }[] = [];
  /** Settled, and made anew, when the broker has told its state. */
  #checked = Promise.withResolvers<void>();
  readonly #appending = new Set<Promise<unknown>>();
  readonly #closing = Promise.withResolvers<void>();
  #closed = false;
  readonly #running: Promise<void>;

  constructor(
    broker: Broker,
    session: BrokerSession,
    state: BrokerState,
    limits: Limits,
    { window: bounds = {}, checkEvery = 1000, onFault = () => {}, random = Math.random }: BrokerLogOptions,
  ) {
    this.#broker = broker;
    this.#session = session;
    const window = limitsOf(bounds, { ...MEMORY_LOG_DEFAULTS, maxAge: null });
    this.#limits = {
      maxEvents: Math.min(limits.maxEvents, window.maxEvents),
      maxBytes: Math.min(limits.maxBytes, window.maxBytes),
      maxAge: limits.maxAge,
    };
    this.#checkEvery = checkEvery;
    this.#onFault = onFault;
    this.#random = random;
    this.#state = state;
    this.#window = this.#windowFor(state);
    this.#running = this.#run(session);
  }

  /** Null while the broker answers, and takes what is appended. */
  get fault(): string | null {
    return this.#fault ?? this.#refusal;
  }

  get connection(): Connection {
    return {
      up: this.#session !== null,
      reconnects: this.#reconnects,
      behind: this.#behind === null ? 0 : performance.now() - this.#behind.since,
    };
  }

  get maxAppend(): number {
    return this.#broker.maxAppend;
  }

  bounds(): Bounds {
    this.#evict();
    const { epoch, inherited, events, bytes } = this.#state;
    const { last } = this.#window;
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
    const session = this.#session;
    if (session === null) {
      throw new HubError("log-failed", `the log is out of reach (${this.#fault}); nothing was published`);
    }
    const { epoch } = this.#state;
    const answer = within(
      APPEND_WITHIN,
      session.append(epoch, this.#window.last, batch, (topic, id) => this.#window.published(topic, id)),
    );
    this.#appending.add(answer);
    try {
      return (await answer).map((seq) => formatEventId(epoch, seq));
    } catch (error) {
      throw this.#appendError(session, error, batch);
    } finally {
      this.#appending.delete(answer);
    }
  }

  #appendError(session: BrokerSession, error: unknown, batch: readonly NewEvent[]): HubError {
    if (error instanceof HubError) return error;
    if (error instanceof EpochMismatch || error instanceof BrokerRefusal) {
      if (error instanceof EpochMismatch)
        session.close(); // what it is now is found out anew
      else {
        this.#refusedAt = performance.now();
        this.#refuse(error.message);
      }
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

  #refuse(why: string | null): void {
    this.#refusal = why === null ? null : `${this.#broker.name}: ${why}`;
    this.#tell();
  }

  /** Tells when the log begins, or ceases, to be unable to keep events; not each reason. */
  #tell(): void {
    const { fault } = this;
    const isNews = (fault === null) !== (this.#told === null);
    this.#told = fault;
    if (isNews && !this.#closed) this.#onFault(fault);
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): MaybePromise<Page> {
    if (this.#holds(after, selectors)) return this.#window.read(after, selectors, limits);
    return this.#ask(async (session, epoch) => {
      const { latest = false, bytes } = limits;
      const upTo = Math.min(limits.upTo, this.#before(after));
      const page = await session.page(epoch, after, selectors, { bytes, upTo, latest });
      const found = new PageBuilder<StoredEvent>(bytes);
      let cursor = Math.min(page.cursor, Math.max(after, upTo));
      for (const { seq, event } of page.kept) {
        const entry = storedEvent(epoch, seq, event);
        const isOutdated = page.outdated.has(seq) || this.#window.newest(event) > seq;
        if (latest && !event.end && isOutdated) found.drop(seq);
        else if (!found.take(entry, seq, entry.bytes)) {
          cursor = found.end;
          break;
        }
      }
      // What follows is here, whatever the broker has evicted; unless it has just gone from here as well.
      if (cursor === upTo && this.#before(upTo) === upTo)
        cursor = this.#window.extend(found, upTo, selectors, limits);
      const from = Math.min(page.from, Math.max(after, upTo));
      const { items: entries, superseded } = found;
      return latest ? { from, entries, superseded, cursor } : { from, entries, cursor };
    }, Infinity); // a stream that is open stays open
  }

  survey(after: Cursor, selectors: SelectorSet): MaybePromise<{ from: Cursor; events: number }> {
    if (this.#holds(after, selectors)) return this.#window.survey(after, selectors);
    return this.#ask(async (session, epoch) => {
      const before = this.#before(after);
      const here = this.#window.survey(before, selectors).events;
      const { from, events, left = 0 } = await session.survey(epoch, after, selectors, before);
      return { from: Math.min(from, before), events: events + Math.max(left, here) };
    });
  }

  rewind(count: number, selectors: SelectorSet): MaybePromise<Cursor> {
    this.#evict();
    const here = this.#window.rewind(count, selectors);
    if (here !== null) return here;
    return this.#ask((session, epoch) => session.rewind(epoch, count, selectors, this.#window.last));
  }

  ends(topics: readonly Topic[]): MaybePromise<readonly Cursor[]> {
    this.#evict();
    const here = topics.map((topic) => this.#window.end(topic));
    const elsewhere = topics.filter((_, at) => here[at] === undefined);
    if (elsewhere.length === 0) return here as Cursor[];
    return this.#ask(async (session, epoch) => {
      const found = await session.ends(epoch, elsewhere, this.#window.last);
      return topics.map((topic, at) => here[at] ?? found[elsewhere.indexOf(topic)]!);
    });
  }

  /** Resolves when everything up to the cursor is here, or when the broker does not have it either. */
  reach(cursor: Cursor): MaybePromise<void> {
    if (cursor <= this.#window.last) return;
    return this.#ask(async (session, epoch) => {
      const { last, epoch: life } = await session.state(0, epoch);
      if (life !== epoch || last < cursor || cursor <= this.#window.last) return;
      await new Promise<void>((resolve) => this.#waiting.push({ cursor, resolve }));
    });
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      await Promise.allSettled(this.#appending);
      this.#closing.resolve();
      this.#session?.close();
      this.#connected.resolve();
      for (const { resolve } of this.#waiting.splice(0)) resolve();
    }
    await this.#running;
  }

  #evict(): void {
    this.#window.evict(Date.now());
  }

  /** Whether the window has all that is selected and stands after the cursor. */
  #holds(after: Cursor, selectors: SelectorSet): boolean {
    this.#evict();
    return this.#window.floor(after, selectors) <= after;
  }

  /**
   * The last event that has to be asked for, after a cursor: the newest part is here. A server of a cluster that answers
   * can be a moment behind the one that the tail reads.
   */
  #before(after: Cursor): Cursor {
    this.#evict();
    return Math.max(after, this.#window.first - 1);
  }

  /**
   * Asks the broker, when it is there.
   *
   * @param patience how long to wait for it, in milliseconds
   * @throws HubError `log-failed` when it does not come, or fails several times although it is there
   */
  async #ask<T>(
    question: (session: BrokerSession, epoch: string) => Promise<T>,
    patience: number = OPENED_WITHIN,
  ): Promise<T> {
    const until = performance.now() + patience;
    for (let tries = 0; ;) {
      while (this.#session === null && !this.#closed) {
        const left = until - performance.now();
        if (left <= 0) throw new HubError("log-failed", `the log is out of reach (${this.#fault})`);
        await within(Math.min(left, READ_WITHIN), this.#connected.promise).catch(() => {});
      }
      const session = this.#session;
      if (this.#closed || session === null) throw new HubError("closed", "the log is closed");
      try {
        // Should the log be in another life by then than when the hub asked, the hub drops the answer.
        return await within(READ_WITHIN, question(session, this.#state.epoch));
      } catch (error) {
        if (this.#session === session && ++tries === TRIES) {
          throw new HubError("log-failed", `the log cannot be read (${words(error)})`, { cause: error });
        }
        if (error instanceof EpochMismatch) session.close();
        await Promise.race([Bun.sleep(FIRST_PAUSE), this.#closing.promise]);
      }
    }
  }

  /** Follows the log, over one session after another, until it is closed. */
  async #run(first: BrokerSession): Promise<void> {
    let session: BrokerSession | null = first;
    for (let pause = FIRST_PAUSE; !this.#closed;) {
      try {
        session ??= await this.#broker.connect();
        await this.#check(session);
        if (this.#session === null) this.#reconnects++;
        this.#session = session;
        this.#fault = null;
        this.#tell();
        this.#connected.resolve();
        pause = FIRST_PAUSE;
        await this.#follow(session);
      } catch (error) {
        if (this.#session !== null) this.#connected = Promise.withResolvers();
        this.#session = null;
        this.#fault = `${this.#broker.name}: ${words(error)}`;
        this.#tell();
      }
      session?.close();
      session = null;
      if (this.#closed) return;
      await Promise.race([Bun.sleep(pause), this.#closing.promise]);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  async #follow(session: BrokerSession): Promise<void> {
    await Promise.race([this.#read(session), this.#watch(session)]);
  }

  async #read(session: BrokerSession): Promise<void> {
    while (this.#session === session) {
      const { epoch } = this.#state;
      const { last } = this.#window;
      const { from, kept } = await within(
        LONGEST_WAIT + ANSWER_WITHIN,
        session.next(epoch, last, LONGEST_WAIT),
      );
      if (this.#session !== session || this.#state.epoch !== epoch) continue; // of a life that is over
      if (from > last) this.#skip(from);
      this.#take(kept);
    }
  }

  async #watch(session: BrokerSession): Promise<void> {
    while (this.#session === session) {
      await Promise.race([Bun.sleep(this.#checkEvery), this.#closing.promise]);
      if (this.#session === session) await this.#check(session);
      this.#checked.resolve();
      this.#checked = Promise.withResolvers();
    }
  }

  /** Resolves when the broker has answered a question for its state that was not asked before now. */
  async checked(): Promise<void> {
    await this.#checked.promise; // of one that may have been under way
    await this.#checked.promise;
  }

  /** Finds out whether this is still the log that it was, and begins another life when it is not. */
  async #check(session: BrokerSession): Promise<void> {
    const { last } = this.#window;
    const mark = this.#mark;
    const ask = () => within(ANSWER_WITHIN, session.state(last, createEpoch(this.#random)));
    let state = await ask();
    const { epoch } = this.#state;
    const lost = state.last < last || (state.mark !== null && mark !== null && state.mark !== mark);
    // An epoch that was left comes back with an old copy of the log: its numbers have been given to other events since.
    if (state.epoch === epoch ? lost : this.#left.has(state.epoch)) {
      await within(ANSWER_WITHIN, session.renew(state.epoch, createEpoch(this.#random)));
      state = await ask();
    }
    this.#state = state;
    const isLong = performance.now() - this.#refusedAt > REFUSAL_CHECKS * this.#checkEvery;
    if (state.refusal !== null || isLong) this.#refuse(state.refusal);
    // What is gone from there as well will not come.
    const isBehind = state.last > this.#window.last && state.first <= state.last;
    if (!isBehind || state.epoch !== epoch) this.#behind = null;
    else this.#behind ??= { last: state.last, since: performance.now() };
    if (state.epoch === epoch) return;
    this.#leave(epoch);
    this.#window = this.#windowFor(state);
    this.#mark = null;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    this.#tail.reset();
  }

  #leave(epoch: string): void {
    this.#left.add(epoch);
    if (this.#left.size > MOST_LEFT) this.#left.delete(this.#left.values().next().value!);
  }

  /** For all that follows; and for some of what stands before it, which streams that come back want. */
  #windowFor({ recent, inherited }: BrokerState): RecentEvents {
    return new RecentEvents(this.#limits, Math.max(recent, inherited));
  }

  /** What stood before this cursor came too late, or never: it is evicted. */
  #skip(from: Cursor): void {
    this.#window = new RecentEvents(this.#limits, from);
    this.#mark = null;
    this.#tail.skip();
  }

  #take(kept: readonly BrokerRecord[]): void {
    if (kept.length === 0) return;
    const entries = kept.map(({ seq, event }) => storedEvent(this.#state.epoch, seq, event));
    for (const [at, entry] of entries.entries()) this.#window.push(entry, kept[at]!.time);
    this.#mark = kept.at(-1)!.mark;
    this.#evict();
    this.#tail.append(entries);
    const { last } = this.#window;
    if (this.#behind !== null && last >= this.#behind.last) this.#behind = null;
    const here = this.#waiting.filter(({ cursor }) => cursor <= last);
    if (here.length === 0) return;
    this.#waiting = this.#waiting.filter(({ cursor }) => cursor > last);
    for (const { resolve } of here) resolve();
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
  const until = performance.now() + OPEN_WITHIN;
  for (;;) {
    let session: BrokerSession | null = null;
    try {
      session = await within(OPEN_WITHIN, broker.connect());
      const state = await within(ANSWER_WITHIN, session.state(0, createEpoch(options.random ?? Math.random)));
      const log = new BrokerLog(broker, session, state, limits, options);
      await Promise.race([log.reach(state.last), Bun.sleep(OPEN_WITHIN)]);
      return log;
    } catch (error) {
      session?.close();
      if (error instanceof BrokerRefusal)
        throw new HubError("log-failed", `${broker.name}: ${error.message}`);
      if (performance.now() > until) {
        throw new HubError("log-failed", `${broker.name} is out of reach: ${words(error)}`, { cause: error });
      }
      await Bun.sleep(LONGEST_PAUSE / 4);
    }
  }
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
