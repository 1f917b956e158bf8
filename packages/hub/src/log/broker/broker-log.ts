import { type Clock, systemClock } from "../../clock.ts";
import { type Cursor, type EventId, formatEventId } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import { type StoredEvent, storedEvent } from "../stored-event.ts";
import type { NewEvent } from "../new-event.ts";
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
import { Appends } from "./appends.ts";
import { type Broker, BrokerRefusal, type BrokerSession } from "./broker.ts";
import { words } from "./connection.ts";
import { type Beginning, Epochs } from "./epochs.ts";
import { BrokerFault } from "./fault.ts";
import { ANSWER_WITHIN, Follower } from "./follower.ts";
import { Positions } from "./positions.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { PageBuilder } from "../page-builder.ts";
import { type Limits, limitsOf, type Retention } from "../retention.ts";
import { within } from "./timing.ts";

/**
 * The log of a broker that several nodes share, as one of these nodes sees it: the newest part is in memory, read from
 * the broker once whatever the number of streams; what is older is asked for.
 *
 * The broker decides on the order. What is appended here is answered when the broker has it, and is shown, like what
 * others append, when it comes back through the broker.
 *
 * While the broker is out of reach, appends are refused and reads wait. A broker that has lost its log, or the end of
 * it, begins another epoch, which is always a new one: the first node to see it makes it so, the others follow.
 */
export class BrokerLog implements EventLog {
  readonly #broker: Broker;
  readonly #fault: BrokerFault;
  readonly #follower: Follower;
  readonly #appends: Appends;
  readonly #positions: Positions;
  #closed = false;

  constructor(
    broker: Broker,
    session: BrokerSession,
    beginning: Beginning,
    { maxEvents, maxBytes, maxAge }: Limits,
    {
      window = {},
      checkEvery = 1000,
      onFault = () => {},
      clock = systemClock,
      date = Date.now,
      random = Math.random,
    }: BrokerLogOptions,
  ) {
    this.#broker = broker;
    this.#fault = new BrokerFault(clock, checkEvery, onFault);
    const memory = limitsOf(window, { ...MEMORY_LOG_DEFAULTS, maxAge: null });
    const limits: Limits = {
      maxEvents: Math.min(maxEvents, memory.maxEvents),
      maxBytes: Math.min(maxBytes, memory.maxBytes),
      maxAge,
    };
    this.#follower = new Follower(broker, session, beginning, {
      limits,
      checkEvery,
      clock,
      date,
      epochs: new Epochs(random),
      fault: this.#fault,
    });
    this.#appends = new Appends(broker, this.#follower, this.#fault, clock);
    this.#positions = new Positions(this.#follower, clock);
  }

  /** Null while the broker answers, and takes what is appended. */
  get fault(): string | null {
    return this.#fault.reason;
  }

  get connection(): Connection {
    const { connection, behind } = this.#follower;
    return { up: connection.session !== null, reconnects: connection.reconnects, behind };
  }

  get maxAppend(): number {
    return this.#broker.maxAppend;
  }

  bounds(): Bounds {
    return this.#follower.bounds();
  }

  tail(listener: TailListener): () => void {
    return this.#follower.tail.add(listener);
  }

  /** Resolves when the broker has answered a question for its state that was not asked before now. */
  checked(): Promise<void> {
    return this.#follower.checked();
  }

  async append(batch: readonly NewEvent[]): Promise<readonly EventId[]> {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    return await this.#appends.add(batch);
  }

  position(request: PositionRequest): MaybePromise<Position> {
    return this.#positions.find(request);
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): MaybePromise<Page> {
    const { recent, epoch, connection } = this.#follower;
    if (recent.floor(after, selectors) <= after) return recent.read(after, selectors, limits);
    // A stream that is open stays open.
    return connection.ask((session) => this.#page(session, epoch, after, selectors, limits), Infinity);
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
    if (this.#follower.epoch !== epoch) return none;
    const upTo = Math.min(limits.upTo, this.#before(after));
    const page = await session.page(epoch, after, selectors, { bytes, upTo, latest });
    if (this.#follower.epoch !== epoch) return none;
    const { recent } = this.#follower;
    const found = new PageBuilder<StoredEvent>(bytes);
    let cursor = Math.min(page.cursor, Math.max(after, upTo));
    for (const { seq, event } of page.kept) {
      const entry = storedEvent(epoch, seq, event);
      const isOutdated = page.outdated.has(seq) || recent.newest(event) > seq;
      if (latest && !event.end && isOutdated) found.drop(seq);
      else if (!found.take(entry, seq, entry.bytes)) {
        cursor = found.end;
        break;
      }
    }
    // What follows is here, whatever the broker has evicted; unless it has just gone from here as well.
    if (cursor === upTo && this.#before(upTo) === upTo)
      cursor = recent.extend(found, upTo, selectors, limits);
    const from = Math.min(page.from, Math.max(after, upTo));
    const { items: entries, superseded } = found;
    return latest ? { from, entries, superseded, cursor } : { from, entries, cursor };
  }

  /**
   * The last event that has to be asked for, after a cursor: the newest part is here. A server of a cluster that answers
   * can be a moment behind the one that the tail reads.
   */
  #before(after: Cursor): Cursor {
    return Math.max(after, this.#follower.recent.first - 1);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#appends.settled();
    await this.#follower.close();
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
      const beginning = await within(clock, ANSWER_WITHIN, new Epochs(random).beginningOf(session, ""));
      const log = new BrokerLog(broker, session, beginning, limits, options);
      await untilRead(log, beginning);
      return log;
    } catch (error) {
      session?.close();
      if (error instanceof BrokerRefusal)
        throw new HubError("log-failed", `${broker.name}: ${error.message}`);
      if (clock.now() > deadline) {
        throw new HubError("log-failed", `${broker.name} is out of reach: ${words(error)}`, { cause: error });
      }
      await new Promise<void>((resolve) => void clock.after(OPEN_PAUSE, resolve));
    }
  }
}

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

/** As a client waits that has seen the newest event; not for longer, as the log is of use without it. */
async function untilRead(log: BrokerLog, { epoch, last }: Beginning): Promise<void> {
  const lastEventId = formatEventId(epoch, last);
  const selectors = new SelectorSet(["**"]);
  await Promise.resolve(log.position({ selectors, lastEventId, replay: 0, counted: false })).catch(() => {});
}

/** For how long the broker may be out of reach when the log is opened, and from one attempt to the next. */
const OPEN_WITHIN = 5000;
const OPEN_PAUSE = 250;
