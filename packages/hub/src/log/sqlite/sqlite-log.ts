import { resolve } from "node:path";
import { type Clock, systemClock } from "../../clock.ts";
import type { Cursor, EventId } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import type { StoredEvent, NewEvent } from "../../publish/message.ts";
import type { Bounds, EventLog, MaybePromise, Page, ReadLimits, TailListener } from "../event-log.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import { numberBatch } from "../numbering.ts";
import { limitsOf, type Retention, sizeOf } from "../retention.ts";
import { Tail } from "../tail.ts";
import { RecentEvents } from "../recent-events.ts";
import { type Durability, isPassing, reason, SqliteFile } from "./file.ts";
import { SqliteReader } from "./reader.ts";
import { TimeSlicedQueue } from "./time-sliced-queue.ts";
import { SqliteStore } from "./store.ts";

/** 10 million events, 1 GiB, 7 days. */
export const SQLITE_LOG_DEFAULTS = Object.freeze({
  maxEvents: 10_000_000,
  maxBytes: 1024 * 1024 * 1024,
  maxAge: 7 * 24 * 3_600_000,
}) satisfies Retention;

const WINDOW = Object.freeze({ maxEvents: 65_536, maxBytes: 32 * 1024 * 1024, maxAge: null });

/** How often events are looked for that are too old, and a file that failed is tried again, in milliseconds. */
const ROUND = 1000;

/** What an event takes on the disk, at most: in the `-wal`, in the file, and beside others in pages that are not full. */
const WRITTEN_PER_BYTE = 4;

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
}

/**
 * A log in a SQLite file, which only one process can open at a time. Whoever opens it again goes on where it stopped, with the
 * next number and the same answers to repeated publishes, in an epoch of its own: an id of before is good as long as the
 * file has what it tells of.
 *
 * On a full disk a file that is there is opened for its readers, with a {@link fault} until there is room.
 *
 * An append is one commit, made before it answers. The newest events are in memory too; what is older is read from the
 * file, in slices of some milliseconds between which the process does everything else. Eviction comes in slices as
 * well, so that for a while there may be more in the log than its bounds allow.
 */
export class SqliteLog implements EventLog {
  /** Why this is a new life of the log; null when it goes on with the one that the file holds. */
  readonly begun: string | null;
  /** The file, absolute: a process may change its folder. */
  readonly #path: string;
  readonly #clock: Clock;
  /** What to add to the clock to get the time of day, which never goes back, over processes neither. */
  readonly #dateOffset: number;
  readonly #file: SqliteFile;
  readonly #store: SqliteStore;
  readonly #slices: TimeSlicedQueue;
  readonly #reader: SqliteReader;
  readonly #window: RecentEvents;
  readonly #tail = new Tail();
  readonly #stopRounds: () => void;
  readonly #known = (topic: Topic, idempotencyKey: string): EventId | undefined => {
    const seq =
      this.#window.published(topic, idempotencyKey) ??
      (this.#isWhole ? undefined : this.#store.published(topic, idempotencyKey));
    return seq === undefined ? undefined : this.#store.epochs.id(seq);
  };
  readonly #onFault: (fault: string | null) => void;
  #fault: string | null = null;
  /** Bytes that can be written before the disk is looked at again. */
  #room = 0;
  /** For how many bytes there was no room; 0 for none. */
  #refused = 0;
  /** True after the file was found to be gone, or taken for another. */
  #isAstray = false;
  #closed = false;

  /**
   * @param path the file; it is made, with its folder, when there is none
   * @throws HubError `log-failed` when the file cannot be used, saying what to do
   * @throws RangeError when a bound is not a positive number
   */
  constructor(path: string, options: SqliteLogOptions = {}) {
    const { durability = "normal", clock = systemClock, date = Date.now, random = Math.random } = options;
    const limits = limitsOf(options, SQLITE_LOG_DEFAULTS);
    this.#path = resolve(path);
    this.#onFault = options.onFault ?? (() => {});
    this.#clock = clock;
    this.#slices = new TimeSlicedQueue(clock, isPassing);
    this.#file = new SqliteFile(this.#path, durability);
    this.begun = this.#file.isNew ? `${this.#path} is new` : null;
    try {
      this.#store = new SqliteStore(this.#file, limits, random);
      this.#reader = new SqliteReader(this.#file, this.#store, this.#slices);
      const { maxEvents, maxBytes } = limitsOf(options.window ?? {}, WINDOW);
      const { window, newest } = this.#fill(
        Math.min(limits.maxEvents, maxEvents),
        Math.min(limits.maxBytes, maxBytes),
      );
      this.#window = window;
      this.#dateOffset = Math.max(date(), newest) - clock.now();
      this.#settle();
    } catch (error) {
      this.#file.close();
      if (error instanceof HubError) throw error;
      throw new HubError("log-failed", reason(error, this.#path), { cause: error });
    }
    this.#stopRounds = clock.every(ROUND, () => this.#round());
    this.#round(); // what grew too old meanwhile, or is over bounds that were lowered
  }

  #fill(maxEvents: number, maxBytes: number): { window: RecentEvents; newest: number } {
    const found: { entry: StoredEvent; time: number }[] = [];
    let bytes = 0;
    for (const each of this.#store.newestFirst()) {
      bytes += sizeOf(each.entry);
      if (found.length === maxEvents || bytes > maxBytes) break;
      found.push(each);
    }
    const window = new RecentEvents(
      { maxEvents, maxBytes, maxAge: Infinity },
      this.#store.last - found.length,
    );
    for (const { entry, time } of found.toReversed()) window.push(entry, time);
    return { window, newest: found[0]?.time ?? 0 };
  }

  /** Before the first event is taken, the disk knows of this epoch. What is full now may have room later. */
  #settle(): void {
    try {
      this.#write(() => {
        this.#store.probe();
        this.#file.checkpoint();
      });
    } catch (error) {
      if (!isPassing((error as HubError).cause)) throw error;
    }
  }

  get fault(): string | null {
    return this.#fault;
  }

  /** True when all events are in memory. */
  get #isWhole(): boolean {
    return this.#window.first === this.#store.first;
  }

  #now(): number {
    return Math.floor(this.#clock.now() + this.#dateOffset);
  }

  append(batch: readonly NewEvent[]): readonly EventId[] {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    const now = this.#now();
    const { entries, ids } = this.#write(() => {
      const numbered = numberBatch(batch, this.#store.epochs.current, this.#store.last, this.#known);
      if (numbered.entries.length > 0) {
        let bytes = 0;
        for (const entry of numbered.entries) bytes += WRITTEN_PER_BYTE * sizeOf(entry);
        this.#takeRoom(bytes);
        this.#store.append(numbered.entries, numbered.events, now);
      }
      return numbered;
    });
    for (const entry of entries) this.#window.push(entry, now);
    this.#window.evict(now);
    this.#window.evictUpTo(this.#store.first - 1);
    this.#tail.append(entries);
    return ids;
  }

  /** @throws HubError `log-failed`, which {@link fault} repeats until a write succeeds */
  #write<T>(change: () => T): T {
    if (this.#isAstray) throw new HubError("log-failed", this.#fault!);
    try {
      const result = change();
      this.#setFault(null);
      return result;
    } catch (error) {
      const fault = error instanceof HubError ? error.message : reason(error, this.#path);
      this.#setFault(fault);
      throw new HubError("log-failed", fault, { cause: error });
    }
  }

  /** Leaves the disk what evicting takes, so that a log which has filled it can go on when events grow old. */
  #takeRoom(bytes: number): void {
    if (bytes > this.#room) this.#room = this.#file.room;
    if (bytes > this.#room) {
      this.#file.checkpoint(); // what the -wal takes is given back
      this.#room = this.#file.room;
    }
    this.#refused = bytes > this.#room ? bytes : 0;
    if (this.#refused > 0) throw new HubError("log-failed", reason({ code: "SQLITE_FULL" }, this.#path));
    this.#room -= bytes;
  }

  #setFault(fault: string | null): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    this.#onFault(fault);
  }

  #round(): void {
    if (this.#closed) return;
    this.#slices.retry();
    try {
      this.#isAstray = false;
      const isMore = this.#write(() => {
        this.#checkPlace();
        const isOver = this.#store.evict(this.#now());
        this.#room = 0; // others write to the disk too
        if (this.#fault !== null) {
          this.#takeRoom(this.#refused);
          this.#store.probe();
        }
        return isOver;
      });
      if (isMore) this.#clock.defer(() => this.#round());
    } catch {
      // The fault says why; the next round tries again.
    }
    this.#window.evictUpTo(this.#store.first - 1);
  }

  #checkPlace(): void {
    try {
      this.#file.checkPlace();
    } catch (error) {
      this.#isAstray = true; // appends need not look for themselves
      throw error;
    }
  }

  /** Whether the window alone can answer what is asked of the events after a cursor. */
  #isRecent(after: Cursor, selectors: SelectorSet): boolean {
    return this.#window.floor(after, selectors) === after;
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): MaybePromise<Page> {
    return (this.#isRecent(after, selectors) ? this.#window : this.#reader).read(after, selectors, limits);
  }

  survey(after: Cursor, selectors: SelectorSet): MaybePromise<{ from: Cursor; events: number }> {
    return (this.#isRecent(after, selectors) ? this.#window : this.#reader).survey(after, selectors);
  }

  rewind(count: number, selectors: SelectorSet): MaybePromise<Cursor> {
    return this.#window.rewind(count, selectors) ?? this.#reader.rewind(count, selectors);
  }

  ends(topics: readonly Topic[]): MaybePromise<readonly Cursor[]> {
    const ends = topics.map((topic) => this.#window.end(topic) ?? (this.#isWhole ? 0 : undefined));
    return ends.every((end) => end !== undefined) ? ends : this.#reader.ends(topics);
  }

  tail(listener: TailListener): () => void {
    return this.#tail.add(listener);
  }

  bounds(): Bounds {
    const { epochs, first, last, bytes } = this.#store;
    return { epoch: epochs.current, first, last, events: last - first + 1, bytes };
  }

  inherits(epoch: string): Cursor | undefined {
    return this.#store.epochs.end(epoch);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopRounds();
    this.#slices.close();
    this.#file.close();
  }
}
