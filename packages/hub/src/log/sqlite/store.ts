import type { Cursor } from "../event-id.ts";
import { type StoredEvent, storedEvent } from "../stored-event.ts";
import type { NewEvent } from "../new-event.ts";
import type { Topic } from "../../topics/topic.ts";
import type { Sliced } from "../time-sliced-queue.ts";
import { ENDS, type Limits, sizeOf } from "../retention.ts";
import { SqliteEpochs } from "./epochs.ts";
import type { SqliteFile } from "./file.ts";
import { SqliteTopics } from "./topics.ts";

/** The events of a file: all changes to them, each whole or not at all. What throws has changed nothing. */
export class SqliteStore {
  readonly epochs: SqliteEpochs;
  readonly topics: SqliteTopics;
  readonly #file: SqliteFile;
  readonly #limits: Limits;
  readonly #sql: ReturnType<typeof statements>;
  #state: State;
  /** The file's pages that are in use, in bytes, when they were last looked at. */
  #used = 0;
  /** Topics whose last event was evicted, since some were forgotten; what processes before this one left is not known. */
  #emptied = Infinity;

  constructor(file: SqliteFile, limits: Limits, random: () => number) {
    this.topics = new SqliteTopics(file);
    this.#file = file;
    this.#limits = limits;
    this.#sql = statements(file);
    const of = (column: string): number => file.ask(`SELECT ${column} FROM log`) as number;
    const last = of("last");
    this.epochs = new SqliteEpochs(file, last, random);
    const first = (file.ask("SELECT min(seq) FROM events") as number | null) ?? last + 1;
    this.#state = { first, last, bytes: of("bytes"), forgotten: of("forgotten"), oldest: Infinity };
    this.#setOldest(this.#state);
  }

  get first(): Cursor {
    return this.#state.first;
  }

  get last(): Cursor {
    return this.#state.last;
  }

  get bytes(): number {
    return this.#state.bytes;
  }

  get forgotten(): Cursor {
    return this.#state.forgotten;
  }

  /** The number of the event that is here under this topic and publisher's id. */
  published(topic: Topic, idempotencyKey: string): Cursor | undefined {
    return (this.#sql.published.all(topic, idempotencyKey)[0] as [number | null])[0] ?? undefined;
  }

  /** The events before this one, newest first, with the time of each, read as they are asked for. */
  *newestFirst(): Generator<{ entry: StoredEvent; time: number }> {
    let before = this.last + 1;
    for (;;) {
      const rows = this.#sql.newestFirst.all(before) as EventRow[];
      for (const row of rows) {
        yield { entry: entryOf(this.epochs, row), time: row[7] };
        before = row[0];
      }
      if (rows.length === 0) return;
    }
  }

  /** Keeps the events, which are numbered from `last` + 1 on, and evicts what is over the bounds then. */
  append(entries: readonly StoredEvent[], events: readonly NewEvent[], now: number): void {
    this.#transaction((state) => {
      for (const _ of this.#insert(state, entries, events, now));
      this.#look(state);
      this.#evict(state, now, entries.length + EVICTED_PER_SLICE);
    });
  }

  /** {@link append} in parts, without evicting. What is in the file is not to be read between them; a part of it is seen nowhere else. */
  *appendInSlices(entries: readonly StoredEvent[], events: readonly NewEvent[], now: number): Sliced<void> {
    const state = { ...this.#state };
    let isDone = false;
    try {
      yield* this.#file.slicedTransaction(this.#insertAndCommit(state, entries, events, now));
      isDone = true;
    } finally {
      if (!isDone) this.topics.rollBack();
    }
    this.#state = state;
  }

  *#insertAndCommit(
    state: State,
    entries: readonly StoredEvent[],
    events: readonly NewEvent[],
    now: number,
  ): Sliced<void> {
    yield* this.#insert(state, entries, events, now);
    this.#write(state);
  }

  *#insert(
    state: State,
    entries: readonly StoredEvent[],
    events: readonly NewEvent[],
    now: number,
  ): Sliced<void> {
    const { insert, renew } = this.#sql;
    // By topic: the newest event of each key, of which there is one, as a rule, the empty one.
    const newest = new Map<number, Map<string, Cursor>>();
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at]!;
      const { seq, end, key, idempotencyKey } = entry;
      const { type, data, json } = events[at]!;
      const topic = this.topics.use(entry.topic, state.forgotten);
      const size = sizeOf(entry);
      insert.run(seq, topic, now, size, end ? 1 : 0, key, idempotencyKey, type, data, json ? 1 : 0);
      state.bytes += size;
      if (!end) {
        // An end is no news of what the topic is about.
        const keys = newest.get(topic);
        if (keys === undefined) newest.set(topic, new Map([[key, seq]]));
        else keys.set(key, seq);
      }
      yield;
    }
    state.last = entries.at(-1)!.seq;
    for (const [topic, keys] of newest) {
      for (const [key, seq] of keys) {
        renew.run(topic, key, seq);
        yield;
      }
    }
    state.oldest = Math.min(state.oldest, now);
  }

  /** Evicts some of what is over the bounds. True when there is more. */
  evict(now: number, atMost = EVICTED_PER_SLICE): boolean {
    this.#look(this.#state);
    if (!this.#isOver(this.#state, now)) return false;
    this.#transaction((state) => this.#evict(state, now, atMost));
    this.#look(this.#state);
    return this.#isOver(this.#state, now);
  }

  /** Writes, to find out whether that can be done: this opening's epoch, as long as that is not on the disk. */
  probe(): void {
    this.#transaction(() => {
      if (!this.epochs.hasBegun) this.epochs.write();
    });
  }

  /** True for an event that the bounds do not let stay, and that is only here because evicting comes in slices. */
  isDue(seq: Cursor, now: number): boolean {
    const { last, oldest } = this.#state;
    const { maxEvents, maxAge } = this.#limits;
    if (last - seq >= maxEvents || seq <= this.#tooMuch()) return true;
    if (now - oldest <= maxAge) return false;
    const [[time]] = this.#sql.time.all(seq) as [[number]];
    return now - time > maxAge;
  }

  /** The last event of those at the beginning that are over the bound in bytes; 0 for none. */
  #tooMuch(): Cursor {
    const { first, bytes } = this.#state;
    let over = bytes - this.#limits.maxBytes;
    let upTo = 0;
    while (over > 0) {
      const rows = this.#sql.oldest.all(Math.max(first, upTo + 1), EVICTED_PER_SLICE) as OldestRow[];
      if (rows.length === 0) break;
      for (const [seq, , size] of rows) {
        if (over <= 0) break;
        over -= size;
        upTo = seq;
      }
    }
    return upTo;
  }

  #transaction(change: (state: State) => void): void {
    const state = { ...this.#state };
    try {
      this.#file.transaction(() => {
        change(state);
        this.#write(state);
      });
    } catch (error) {
      this.topics.rollBack();
      throw error;
    }
    this.#state = state;
  }

  #write({ last, bytes, forgotten }: State): void {
    this.#sql.state.run(last, bytes, forgotten);
  }

  /** Looks how large the file is, when it can be too large. */
  #look(state: State): void {
    this.#used = this.#isHalf(state) ? (this.#sql.used.all()[0] as [number])[0] : 0;
  }

  /** Below this the file is never too large: what is in it besides events is not freed with them. */
  #isHalf({ bytes }: State): boolean {
    return bytes > this.#limits.maxBytes / 2 && bytes > LEAST_FILE / 2;
  }

  #isOver(state: State, now: number): boolean {
    const { first, last, bytes, oldest } = state;
    const { maxEvents, maxBytes, maxAge } = this.#limits;
    if (first > last) return false;
    if (last - first >= maxEvents || bytes > maxBytes || now - oldest > maxAge) return true;
    return this.#used > maxBytes && this.#isHalf(state);
  }

  #evict(state: State, now: number, atMost: number): void {
    if (!this.#isOver(state, now)) return;
    const { maxEvents } = this.#limits;
    /** By topic, the last evicted event, and when it was evicted if it is an end, else 0. */
    const topics = new Map<number, [evicted: Cursor, ended: number]>();
    const keys = new Map<string, [topic: number, key: string, seq: Cursor]>();
    const before = state.first - 1;
    // As many as are too many; when they are too large or too old nobody knows how many that is.
    let chunk = Math.max(8, state.last - state.first + 1 - maxEvents);
    for (let left = atMost; left > 0 && this.#isOver(state, now); chunk *= 4) {
      const rows = this.#sql.oldest.all(state.first, Math.min(left, chunk)) as OldestRow[];
      for (const [seq, time, size, topic, key, end] of rows) {
        state.oldest = time;
        if (!this.#isOver(state, now)) break;
        state.first = seq + 1;
        state.bytes -= size;
        topics.set(topic, [seq, end === 1 ? Math.max(1, now) : 0]);
        keys.set(`${topic} ${key}`, [topic, key, seq]);
        left--;
      }
    }
    if (state.first - 1 === before) return;
    this.#sql.evict.run(state.first - 1);
    for (const row of keys.values()) this.#sql.outlive.run(...row);
    for (const [topic, [evicted, ended]] of topics) {
      const [[name, isEmpty]] = this.#sql.empty.all(evicted, ended, ended, topic) as [[Topic, 0 | 1]];
      if (isEmpty === 0) continue;
      this.topics.forget(name);
      this.#emptied++;
    }
    this.#setOldest(state);
    this.#forget(state, now);
  }

  #setOldest(state: State): void {
    state.oldest = (this.#sql.oldest.all(state.first, 1) as OldestRow[])[0]?.[1] ?? Infinity;
  }

  /** Bounds what is known of topics without events. An end that is no longer known leaves a topic without events behind. */
  #forget(state: State, now: number): void {
    if (this.#emptied < MAX_FORGOTTEN / 16) return;
    this.#emptied = 0;
    this.#sql.forgetEnds.run(now - ENDS.age);
    for (const [evicted] of this.#sql.forgetTopics.all() as [Cursor][]) {
      state.forgotten = Math.max(state.forgotten, evicted);
    }
  }
}

function statements(file: SqliteFile) {
  return {
    state: file.prepare("UPDATE log SET last = ?, bytes = ?, forgotten = ?"),
    insert: file.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    renew: file.prepare("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)"),
    oldest: file.prepare(
      'SELECT seq, time, size, topic, key, "end" FROM events WHERE seq >= ? ORDER BY seq LIMIT ?',
    ),
    time: file.prepare("SELECT time FROM events WHERE seq = ?"),
    evict: file.prepare("DELETE FROM events WHERE seq <= ?"),
    outlive: file.prepare("DELETE FROM newest WHERE topic = ? AND key = ? AND seq <= ?"),
    // Of events that are no ends, SQLite looks for others of the topic once.
    empty: file.prepare(
      `UPDATE topics SET evicted = ?, empty = ${IS_EMPTY}, ended = iif(? = 0, 0, iif(${IS_EMPTY}, ?, 0))
       WHERE id = ? RETURNING name, empty`,
    ),
    forgetEnds: file.prepare(
      `UPDATE topics SET ended = 0 WHERE ended AND (ended < ? OR evicted <=
         (SELECT evicted FROM topics WHERE ended ORDER BY evicted DESC LIMIT 1 OFFSET ${ENDS.topics}))`,
    ),
    forgetTopics: file.prepare(
      `DELETE FROM topics WHERE empty AND NOT ended AND evicted <=
         (SELECT evicted FROM topics WHERE empty AND NOT ended ORDER BY evicted DESC LIMIT 1 OFFSET ${MAX_FORGOTTEN})
       RETURNING evicted`,
    ),
    published: file.prepare(
      "SELECT max(seq) FROM events WHERE topic = (SELECT id FROM topics WHERE name = ?) AND publish_id = ? AND publish_id <> ''",
    ),
    used: file.prepare(
      "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    ),
    newestFirst: file.prepare(
      `SELECT ${entryColumns(file)} FROM events JOIN topics ON topics.id = topic
       WHERE seq < ? ORDER BY seq DESC LIMIT 100`,
    ),
  };
}

/** How many topics without an event are remembered by the number of their last evicted one. */
const MAX_FORGOTTEN = 16_384;
/** A file is not kept smaller than this, in bytes. */
const LEAST_FILE = 1024 * 1024;
/** Events that are evicted in one go, besides as many as come in. */
const EVICTED_PER_SLICE = 500;

/** What a commit changes besides rows: kept beside the file only once the file has it. */
interface State {
  first: Cursor;
  last: Cursor;
  bytes: number;
  /** The last evicted event of all topics that are not known any more. */
  forgotten: Cursor;
  /** When the first event was taken. */
  oldest: number;
}

type EventRow = [
  seq: Cursor,
  topic: Topic,
  end: 0 | 1,
  key: string,
  idempotencyKey: string,
  type: string,
  data: string | Uint8Array,
  time: number,
  json: 0 | 1,
];
type OldestRow = [seq: Cursor, time: number, size: number, topic: number, key: string, end: 0 | 1];

/** Of `events` and `topics`: what {@link entryOf} takes. */
export function entryColumns({ cutsText }: SqliteFile): string {
  const data = cutsText ? "iif(instr(data, char(0)) > 0, CAST(data AS BLOB), data)" : "data";
  return `seq, name, "end", events.key, publish_id, events.type, ${data}, time, events.json`;
}

export function entryOf(epochs: SqliteEpochs, row: unknown[]): StoredEvent {
  const [seq, topic, end, key, idempotencyKey, type, bytesOrText, , json] = row as EventRow;
  const data = typeof bytesOrText === "string" ? bytesOrText : decoder.decode(bytesOrText);
  const event = { topic, type, data, json: json === 1, key, idempotencyKey, end: end === 1 };
  return storedEvent(epochs.of(seq), seq, event);
}

/** A mark at the beginning of data is a part of them. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const IS_EMPTY = "NOT EXISTS (SELECT 1 FROM events INDEXED BY events_by_topic WHERE topic = topics.id)";
