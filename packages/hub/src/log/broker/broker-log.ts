import { type Clock, systemClock } from "../../clock.ts";
import { type Cursor, type EventId, formatEventId, parseEventId } from "../event-id.ts";
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
import { Appends } from "./appends.ts";
import { type Broker, BrokerRefusal, type BrokerSession, EpochMismatch } from "./broker.ts";
import { words } from "./connection.ts";
import { type Beginning, Epochs } from "./epochs.ts";
import { BrokerFault } from "./fault.ts";
import { ANSWER_WITHIN, Follower } from "./follower.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { PageBuilder } from "../page-builder.ts";
import { parseLastEventId, toPosition } from "../position.ts";
import { type Limits, limitsOf, type Retention } from "../retention.ts";
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

/** How long the opening of a stream waits for the broker, in milliseconds: its client can come back. */
const OPENED_WITHIN = 5000;
/** For how long the broker may be out of reach when the log is opened, and from one attempt to the next. */
const OPEN_WITHIN = 5000;
const OPEN_PAUSE = 250;

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
  readonly #clock: Clock;
  readonly #fault: BrokerFault;
  readonly #follower: Follower;
  readonly #appends: Appends;
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
    this.#clock = clock;
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
    if (!this.#isAhead(request.lastEventId)) {
      const here = this.#positionHere(request);
      if (here !== null && !haveAllEnded(here)) return here;
    }
    const deadline = this.#clock.now() + OPENED_WITHIN;
    const ask = (session: BrokerSession) => this.#position(session, request, deadline);
    return this.#follower.connection.ask(ask, OPENED_WITHIN);
  }

  #positionHere(request: PositionRequest): Position | null {
    const bounds = this.bounds();
    const lastSeen = parseLastEventId(request.lastEventId, bounds);
    return this.#follower.recent.position(lastSeen, request, bounds, false);
  }

  async #position(session: BrokerSession, request: PositionRequest, deadline: number): Promise<Position> {
    const { epoch } = this.#follower;
    if (this.#isAhead(request.lastEventId)) {
      // The client comes from a node that was faster, or makes it up: what the broker does not have either will not come.
      const { cursor } = parseEventId(request.lastEventId)!;
      if ((await this.#newest(session, epoch)) >= cursor) await this.#arrival(cursor, deadline);
    }
    const found = await this.#ask(session, request);
    if (!haveAllEnded(found)) return found;
    // A topic can have begun anew, and its publisher been answered, with the event still on its way: a client that is told of
    // the end now may never come back.
    const newest = await this.#newest(session, found.epoch);
    if (newest <= found.upTo) return found;
    await this.#arrival(newest, deadline);
    return await this.#ask(session, request);
  }

  /** From memory, or by one question: as things stand here at this moment, whatever the broker has by then. */
  async #ask(session: BrokerSession, request: PositionRequest): Promise<Position> {
    const here = this.#positionHere(request);
    if (here !== null) return here;
    const bounds = this.bounds();
    const { epoch, last: upTo } = bounds;
    const { recent } = this.#follower;
    const { selectors, replay, counted } = request;
    const lastSeen = parseLastEventId(request.lastEventId, bounds);
    const after = lastSeen.cursor ?? recent.rewind(replay, selectors);
    const known = selectors.topics.map((topic) => recent.end(topic));
    const found = await session.position(epoch, { selectors, after, last: replay, upTo, counted });
    if (this.#follower.epoch !== epoch) return await this.#ask(session, request);
    const ends = known.map((end, at) => end ?? (found.ends[at]! > upTo ? 0 : found.ends[at]!));
    const from = Math.min(found.from, upTo);
    return toPosition(lastSeen, bounds, { from, replayed: found.replayed, ends });
  }

  #isAhead(lastEventId: string): boolean {
    const id = parseEventId(lastEventId);
    return id !== null && id.epoch === this.#follower.epoch && id.cursor > this.#follower.recent.last;
  }

  /** The newest event that the broker has; 0 when this is in another epoch by the time of the answer. */
  async #newest(session: BrokerSession, epoch: string): Promise<Cursor> {
    const state = await session.state(0);
    if (this.#follower.epoch !== epoch) return 0;
    if (state?.epoch !== epoch) throw new EpochMismatch("the log is in another epoch");
    return state.last;
  }

  /** Resolves when the event is here, or the epoch is over. */
  async #arrival(cursor: Cursor, deadline: number): Promise<void> {
    await this.#follower.arrival(cursor, deadline - this.#clock.now()).catch(() => {
      throw new HubError("log-failed", "the log is behind: it has not read yet what the broker has");
    });
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

/** Whether a client is told that nothing more will come. */
function haveAllEnded({ ends }: Position): boolean {
  return ends.length > 0 && !ends.includes(0);
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

/** As a client waits that has seen the newest event; not for longer, as the log is of use without it. */
async function untilRead(log: BrokerLog, { epoch, last }: Beginning): Promise<void> {
  const lastEventId = formatEventId(epoch, last);
  const selectors = new SelectorSet(["**"]);
  await Promise.resolve(log.position({ selectors, lastEventId, replay: 0, counted: false })).catch(() => {});
}
