import { type Clock, systemClock } from "../../clock.ts";
import type { Cursor, EventId } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import type { StoredEvent } from "../stored-event.ts";
import type { NewEvent } from "../new-event.ts";
import type {
  Bounds,
  EventLog,
  MaybePromise,
  Page,
  Position,
  PositionRequest,
  ReadLimits,
  TailListener,
} from "../event-log.ts";
import type { SelectorSet } from "../../topics/topic.ts";
import { BatchNumbering } from "../numbering.ts";
import { type LastSeen, parseLastEventId } from "../last-event-id.ts";
import { limitsOf, type Retention, sizeOf } from "../retention.ts";
import { TailListeners } from "../tail-listeners.ts";
import { RecentEvents } from "../recent-events.ts";
import type { Sliced } from "../time-sliced-queue.ts";
import { AppendQueue } from "./append-queue.ts";
import { type Disk, systemDisk } from "./disk.ts";
import { DiskRoom } from "./disk-room.ts";
import { isPassing, reason } from "./failure.ts";
import { type Durability, SqliteFile } from "./file.ts";
import { SqliteReader } from "./reader.ts";
import { ReadQueue } from "./read-queue.ts";
import { SqliteStore } from "./store.ts";

/**
 * A log in a SQLite file, which only one process can open at a time. Whoever opens it again goes on where it stopped, with the
 * next number and the same answers to repeated publishes, in an epoch of its own: an id of before is good as long as the
 * file has what it tells of.
 *
 * On a full disk a file that is there is opened for its readers, with a {@link fault} until there is room. Until then it goes
 * on in the epoch of before; when its own begins, the tail's listeners are told of a `reset` that keeps everything.
 *
 * An append is one commit, made before it answers; of one with more events than a turn of the event loop takes, the transaction
 * stays open over several turns, in which nothing is read from the file, and what comes behind waits. The newest events are in memory too; what is older is read from the
 * file, in slices of some milliseconds between which the process does everything else. Eviction comes in slices as
 * well, so that for a while there may be more in the log than its bounds allow.
 */
export class SqliteLog implements EventLog {
  /** Why this is a new log; null when it goes on with the one that the file holds. */
  readonly begun: string | null;
  readonly #clock: Clock;
  /** What to add to the clock to get the time of day, which never goes back, over processes neither. */
  readonly #dateOffset: number;
  readonly #file: SqliteFile;
  readonly #room: DiskRoom;
  readonly #store: SqliteStore;
  readonly #appends: AppendQueue;
  readonly #reads: ReadQueue;
  readonly #reader: SqliteReader;
  readonly #recent: RecentEvents;
  /** True when the events in memory began with the log's first: then they know of all that was evicted since. */
  readonly #isFromStart: boolean;
  readonly #tail = new TailListeners();
  readonly #stopRounds: () => void;
  readonly #onFault: (fault: string | null) => void;
  #fault: string | null = null;
  /** True after the file was found to be gone, or taken for another. */
  #isAstray = false;
  /** Whether a round has come while something was appended. */
  #isRoundDue = false;
  #closed = false;

  /**
   * @param path the file; it is made, with its folder, when there is none
   * @throws HubError `log-failed` when the file cannot be used, saying what to do
   * @throws RangeError when a bound is not a positive number
   */
  constructor(path: string, options: SqliteLogOptions = {}) {
    const { durability = "normal", disk = systemDisk, random = Math.random } = options;
    const { clock = systemClock, date = Date.now } = options;
    const limits = limitsOf(options, SQLITE_LOG_DEFAULTS);
    const window = limitsOf(options.window ?? {}, WINDOW);
    this.#onFault = options.onFault ?? (() => {});
    this.#clock = clock;
    this.#appends = new AppendQueue(clock);
    this.#reads = new ReadQueue(clock, isPassing);
    this.#file = new SqliteFile(path, durability, disk);
    this.#room = new DiskRoom(this.#file);
    this.begun = this.#file.isNew ? `${this.#file.name} is new` : null;
    try {
      this.#store = new SqliteStore(this.#file, limits, random);
      this.#reader = new SqliteReader(this.#file, this.#store, this.#reads);
      const { recent, newest } = this.#fill(
        Math.min(limits.maxEvents, window.maxEvents),
        Math.min(limits.maxBytes, window.maxBytes),
      );
      this.#recent = recent;
      this.#isFromStart = recent.first === 1;
      this.#dateOffset = Math.max(date(), newest) - clock.now();
      this.#begin();
    } catch (error) {
      this.#file.close();
      if (error instanceof HubError) throw error;
      throw new HubError("log-failed", reason(error, this.#file.name), { cause: error });
    }
    this.#stopRounds = clock.every(ROUND, () => this.#round());
    this.#round(); // what grew too old meanwhile, or is over bounds that were lowered
  }

  #fill(maxEvents: number, maxBytes: number): { recent: RecentEvents; newest: number } {
    const found: { entry: StoredEvent; time: number }[] = [];
    let bytes = 0;
    let newest = 0; // also of an event for which there is no room
    for (const each of this.#store.newestFirst()) {
      newest = Math.max(newest, each.time);
      bytes += sizeOf(each.entry);
      if (found.length === maxEvents || bytes > maxBytes) break;
      found.push(each);
    }
    const recent = new RecentEvents(
      { maxEvents, maxBytes, maxAge: Infinity },
      this.#clock,
      this.#store.last - found.length,
    );
    for (const { entry, time } of found.toReversed()) recent.push(entry, time);
    return { recent, newest };
  }

  /** What is full now may have room later; only a file that has no epoch yet needs some at once. */
  #begin(): void {
    try {
      this.#probe();
    } catch (error) {
      if (this.#store.epochs.isEmpty || !isPassing((error as HubError).cause)) throw error;
    }
  }

  get fault(): string | null {
    return this.#fault;
  }

  /** True when all events are in memory. */
  get #isAllRecent(): boolean {
    return this.#recent.first === this.#store.first;
  }

  #now(): number {
    return Math.floor(this.#clock.now() + this.#dateOffset);
  }

  append(batch: readonly NewEvent[]): MaybePromise<readonly EventId[]> {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    if (this.#isAstray) throw new HubError("log-failed", this.#fault!);
    const now = this.#now();
    if (this.#appends.isBusy || this.#appends.isLong(batch.length))
      return this.#appends.run<readonly EventId[]>((answer) => this.#appendInSlices(batch, now, answer));
    const numbered = this.#attempt(() => drain(this.#number(batch, now)));
    const { entries, events, ids } = numbered;
    // Nothing is written for repeats, which so say nothing of whether the log can keep events.
    if (entries.length === 0) return ids;
    this.#attempt(() => {
      this.#room.takeFor(entries);
      this.#store.append(entries, events, now);
    });
    this.#show(entries, now);
    this.#recent.evict(-Infinity); // what is too old, the file says, also of ends
    this.#recent.evictUpTo(this.#store.first - 1);
    return ids;
  }

  /** The same in slices; then what it has put over the bounds is evicted, so that those that follow do not add up. */
  *#appendInSlices(
    batch: readonly NewEvent[],
    now: number,
    answer: (ids: readonly EventId[]) => void,
  ): Sliced<void> {
    if (this.#isAstray) throw new HubError("log-failed", this.#fault!); // found since it began to wait
    const { entries, events, ids } = yield* this.#attemptSliced(this.#number(batch, now));
    if (entries.length > 0) {
      this.#attempt(() => this.#room.takeFor(entries));
      this.#reads.hold();
      try {
        yield* this.#attemptSliced(this.#store.appendInSlices(entries, events, now));
        this.#show(entries, now);
      } finally {
        this.#reads.release();
      }
    }
    answer(ids);
    yield* this.#tidy(entries.length, now);
    if (this.#isRoundDue) this.#round(true);
  }

  /** Evicts in slices as much as came in, in memory and in the file, whose `-wal` is written back in slices of their own. */
  *#tidy(events: number, now: number): Sliced<void> {
    yield;
    while (this.#recent.evict(-Infinity, FORGOTTEN_PER_TURN)) yield;
    this.#attempt(() => this.#file.writeBack());
    yield;
    this.#file.holdCheckpoints();
    try {
      for (let slice = 0; slice * EVICTED_PER_TURN < events; slice++) {
        if (!this.#attempt(() => this.#store.evict(now, EVICTED_PER_TURN))) break;
        this.#recent.evictUpTo(this.#store.first - 1);
        yield;
        if (slice % WRITTEN_BACK_TOGETHER !== WRITTEN_BACK_TOGETHER - 1) continue;
        this.#attempt(() => this.#file.writeBack());
        yield;
      }
    } finally {
      this.#file.releaseCheckpoints();
    }
    this.#recent.evictUpTo(this.#store.first - 1);
  }

  /** What was appended is in memory too, and told. */
  #show(entries: readonly StoredEvent[], now: number): void {
    for (const entry of entries) this.#recent.push(entry, now);
    this.#tail.append(entries);
    this.#setFault(null);
  }

  /** Begins this opening's epoch, where something is new. */
  *#number(batch: readonly NewEvent[], now: number): Sliced<BatchNumbering> {
    const { epochs } = this.#store;
    for (;;) {
      const numbering = new BatchNumbering(epochs.current, this.#store.last, (topic, idempotencyKey) => {
        const seq =
          this.#recent.published(topic, idempotencyKey) ??
          (this.#isAllRecent ? undefined : this.#store.published(topic, idempotencyKey));
        // After a long downtime there are events that are past their age: to be evicted, and no answer to a repeat.
        return seq === undefined || this.#store.isDue(seq, now) ? undefined : epochs.id(seq);
      });
      for (const event of batch) {
        numbering.add(event);
        yield;
      }
      if (numbering.entries.length === 0 || epochs.hasBegun) return numbering;
      this.#probe();
    }
  }

  /** @throws HubError `log-failed`, which {@link fault} repeats until something is written */
  #attempt<T>(use: () => T): T {
    try {
      return use();
    } catch (error) {
      const fault = error instanceof HubError ? error.message : reason(error, this.#file.name);
      this.#setFault(fault);
      throw new HubError("log-failed", fault, { cause: error });
    }
  }

  *#attemptSliced<T>(work: Sliced<T>): Sliced<T> {
    try {
      return yield* work;
    } catch (error) {
      return this.#attempt(() => {
        throw error;
      });
    }
  }

  /** Writes whatever there is to write, to find out whether that can be done. */
  #probe(): void {
    const { epochs } = this.#store;
    const isFirst = !epochs.hasBegun;
    this.#attempt(() => {
      this.#room.takeRefused();
      this.#store.probe();
      if (!isFirst) return;
      this.#file.checkpoint(); // the disk knows of the epoch before an id does
      epochs.begin();
    });
    if (isFirst) this.#tail.reset();
    this.#setFault(null);
  }

  #setFault(fault: string | null): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    try {
      this.#onFault(fault);
    } catch (error) {
      console.error(error); // what is kept stays kept, and is answered so
    }
  }

  /** @param isAlone whether nothing is being appended */
  #round(isAlone = !this.#appends.isBusy): void {
    this.#isRoundDue = !isAlone;
    if (this.#closed || !isAlone) return;
    this.#reads.retry();
    try {
      this.#attempt(() => this.#checkPlace());
      if (this.#attempt(() => this.#store.evict(this.#now()))) this.#clock.defer(() => this.#round());
      this.#room.forget();
      if (this.#fault !== null) this.#probe();
    } catch {
      // The fault says why; the next round tries again.
    }
    this.#recent.evictUpTo(this.#store.first - 1);
  }

  #checkPlace(): void {
    this.#isAstray = true; // appends need not look for themselves
    this.#file.checkPlace();
    this.#isAstray = false;
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): MaybePromise<Page> {
    const isRecent = this.#recent.floor(after, selectors) === after;
    return (isRecent ? this.#recent : this.#reader).read(after, selectors, limits);
  }

  position(request: PositionRequest): MaybePromise<Position> {
    const { epochs } = this.#store;
    const view = (): { bounds: Bounds; lastSeen: LastSeen } => {
      const bounds = this.bounds();
      return { bounds, lastSeen: parseLastEventId(request.lastEventId, bounds, (id) => epochs.end(id)) };
    };
    const { bounds, lastSeen } = view();
    return this.#recent.position(lastSeen, request, bounds, {
      isEmpty: () => this.#isFromStart && this.#isAllRecent,
      position: () => this.#reader.position(request, view),
    });
  }

  tail(listener: TailListener): () => void {
    return this.#tail.add(listener);
  }

  bounds(): Bounds {
    const { epochs, first, last, bytes } = this.#store;
    return { epoch: epochs.current, first, last, events: last - first + 1, bytes };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopRounds();
    this.#appends.close();
    this.#reads.close();
    this.#file.close();
  }
}

/** Does all of the work at once. */
function drain<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** What the file holds, and what it survives. */
export interface SqliteLogOptions extends Retention {
  /** Default `normal`. */
  durability?: Durability | undefined;
  /** Told when the log cannot keep events any more, and why; null when it can again. */
  onFault?: ((fault: string | null) => void) | undefined;
  /** The newest events, which are in memory too; default 65,536 of them, or 32 MiB if that is less. */
  window?: Pick<Retention, "maxEvents" | "maxBytes">;
  /** Default: the process's own. */
  clock?: Clock;
  /** The time of day in milliseconds, for the age of events of earlier processes; default `Date.now`. */
  date?: () => number;
  /** Numbers in [0, 1), for the epoch; default `Math.random`. */
  random?: () => number;
  /** Default: the disk as it is. For tests. */
  disk?: Disk;
}

/** 10 million events, 1 GiB, 7 days. */
export const SQLITE_LOG_DEFAULTS = Object.freeze({
  maxEvents: 10_000_000,
  maxBytes: 1024 * 1024 * 1024,
  maxAge: 7 * 24 * 3_600_000,
}) satisfies Retention;

const WINDOW = Object.freeze({ maxEvents: 65_536, maxBytes: 32 * 1024 * 1024, maxAge: null });

/** Events that a turn of an append in slices evicts: from the file, and from memory alone. */
const EVICTED_PER_TURN = 250;
const FORGOTTEN_PER_TURN = 2500;
/** Turns whose evicting is written from the `-wal` into the file together. */
const WRITTEN_BACK_TOGETHER = 8;

/** How often events are looked for that are too old, and a file that failed is tried again, in milliseconds. */
const ROUND = 1000;
