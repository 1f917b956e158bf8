import type { Cursor } from "../event-id.ts";
import type { StoredEvent } from "../stored-event.ts";
import type { Bounds, Page, Position, PositionRequest, ReadLimits } from "../event-log.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import { PageBuilder } from "../page-builder.ts";
import { type LastSeen, toPosition } from "../last-event-id.ts";
import { ENTRY_BYTES } from "../retention.ts";
import type { SqliteFile } from "./file.ts";
import type { ReadQueue } from "./read-queue.ts";
import { entryColumns, entryOf, type SqliteStore } from "./store.ts";

/** Answers from a file what is asked of a log, slice by slice. */
export class SqliteReader {
  readonly #store: SqliteStore;
  readonly #reads: ReadQueue;
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile, store: SqliteStore, reads: ReadQueue) {
    this.#store = store;
    this.#reads = reads;
    this.#sql = statements(file);
  }

  /** The oldest cursor, from this one on, from which nothing that is selected is missing. */
  #floor(after: Cursor, { topics, patterns }: SelectorSet): Cursor {
    const { first, forgotten } = this.#store;
    if (after >= first - 1) return after;
    if (patterns.length > 0) return first - 1;
    return Math.max(after, ...topics.map((topic) => this.#store.topics.evicted(topic) ?? forgotten));
  }

  /** Answers by the selected topics, all that there are in this moment. */
  async #withTopics<T>(selectors: SelectorSet, use: (ids: Ids) => T): Promise<T> {
    const { topics } = this.#store;
    if (selectors.selectsAll) return this.#reads.run(() => use(null));
    if (selectors.patterns.length === 0) {
      return this.#reads.run(() =>
        use(selectors.topics.map((topic) => topics.find(topic)).filter((id) => id !== undefined)),
      );
    }
    const selection = topics.selection(selectors);
    for (;;) {
      const answer = await this.#reads.run(() => (topics.select(selection) ? [use(selection.ids)] : null));
      if (answer !== null) return answer[0]!;
    }
  }

  /** The first selected events after a cursor, as many as one slice may look at. */
  #find(selectors: SelectorSet, ids: Ids, from: Cursor, upTo: Cursor, isLatest = false): Found {
    const sql = isLatest ? this.#sql.latest : this.#sql.any;
    if (ids !== null) {
      const topics = JSON.stringify(ids);
      // Up to where the busiest topic has had its share, the others have had no more than theirs.
      const [[edge]] = this.#sql.nth.all(from, share(ids) - 1, topics) as [[number | null]];
      const next = Math.min(edge ?? upTo, upTo);
      return { rows: sql.ofTopics.all(topics, from, next) as Row[], next };
    }
    const isAll = selectors.selectsAll;
    const limit = isAll ? FOUND_PER_SLICE : LOOKED_AT_PER_SLICE;
    const rows = (isAll ? sql.all : sql.named).all(from, upTo, limit) as Row[];
    const next = rows.length < limit ? upTo : rows[rows.length - 1]![0];
    return { rows: isAll ? rows : rows.filter(([, , , name]) => selectors.matches(name!)), next };
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): Promise<Page> {
    return this.#withTopics(selectors, (ids) => this.#page(after, selectors, ids, limits));
  }

  #page(after: Cursor, selectors: SelectorSet, ids: Ids, limits: ReadLimits): Page {
    const from = Math.min(this.#floor(after, selectors), Math.max(after, limits.upTo));
    const upTo = Math.max(from, Math.min(limits.upTo, this.#store.last));
    const { rows, next } = this.#find(selectors, ids, from, upTo, limits.latest);
    const page = new PageBuilder<Cursor>(limits.bytes);
    let cursor = next;
    for (const [seq, size, isStale] of rows) {
      if (isStale === 1) page.drop(seq);
      else if (!page.take(seq, seq, size - ENTRY_BYTES)) {
        cursor = page.end;
        break;
      }
    }
    const entries = this.#fetch(page.items);
    return limits.latest === true
      ? { from, entries, superseded: page.superseded, cursor }
      : { from, entries, cursor };
  }

  #fetch(seqs: readonly Cursor[]): StoredEvent[] {
    const { epochs } = this.#store;
    return this.#sql.fetch.all(JSON.stringify(seqs)).map((row) => entryOf(epochs, row));
  }

  /**
   * As `EventLog.position`. One slice reads the bounds, what is evicted, and the ends. What takes longer, looking for the last
   * events and counting, follows in slices of its own, and looks at nothing beyond the `upTo` of that moment. Meanwhile the
   * log grows beyond `upTo`, which changes nothing of the answer, and loses events at its beginning. When it loses some that
   * follow the cursor, now or before they are read, the first read from the cursor says so with its `from`, and the stream is
   * told a gap. So nothing has to be checked again here.
   *
   * @param view what the log shows in this moment
   */
  async position(
    { selectors, replay, counted }: PositionRequest,
    view: () => { bounds: Bounds; lastSeen: LastSeen },
  ): Promise<Position> {
    const { ids, bounds, lastSeen, start, ends } = await this.#withTopics(selectors, (found) => {
      const seen = view();
      const isNear = selectors.selectsAll || replay === 0 || replay === Infinity;
      const cursor = seen.lastSeen.cursor ?? (isNear ? seen.bounds.last - replay : null);
      const floor = cursor === null ? null : this.#floor(cursor, selectors);
      const topicEnds = selectors.topics.map((topic) => this.#store.topics.end(topic));
      return { ...seen, ids: found, start: floor, ends: topicEnds };
    });
    const from = start ?? (await this.#beforeLast(replay, selectors, ids, bounds.last));
    const replayed = counted ? await this.#count(selectors, ids, from, bounds.last) : 0;
    return toPosition(lastSeen, bounds, { from, replayed, ends });
  }

  /** How many selected events there are in (from, upTo]. */
  async #count(selectors: SelectorSet, ids: Ids, from: Cursor, upTo: Cursor): Promise<number> {
    if (selectors.selectsAll) return upTo - from;
    return ids === null ? this.#countAmongAll(from, upTo, selectors) : this.#countOf(ids, from, upTo);
  }

  async #countAmongAll(from: Cursor, upTo: Cursor, selectors: SelectorSet): Promise<number> {
    let events = 0;
    for (let at = from; at < upTo;) {
      const { rows, next } = await this.#reads.run(() => this.#find(selectors, null, at, upTo));
      events += rows.length;
      at = next;
    }
    return events;
  }

  async #countOf(topics: readonly number[], from: Cursor, upTo: Cursor): Promise<number> {
    const left = [...topics];
    let at = from;
    let events = 0;
    const slice = (): void => {
      for (let budget = COUNTED_PER_SLICE; budget > 0 && left.length > 0;) {
        const [[count, last]] = this.#sql.count.all(left.at(-1)!, at, upTo) as [[number, number | null]];
        events += count;
        budget -= count + COUNTED_PER_SLICE / 200; // finding a topic costs as much as counting some of its events
        if (count === COUNTED_PER_SLICE) at = last!;
        else {
          left.pop();
          at = from;
        }
      }
    };
    while (left.length > 0) await this.#reads.run(slice);
    return events;
  }

  /** The cursor before the last `wanted` selected events up to this one, or before the first when there are fewer. */
  async #beforeLast(wanted: number, selectors: SelectorSet, ids: Ids, upTo: Cursor): Promise<Cursor> {
    for (let before = upTo; wanted <= before && before >= this.#store.first;) {
      const { rows, next } = await this.#reads.run(() => this.#findLast(selectors, ids, before));
      const nth = rows[rows.length - wanted];
      if (nth !== undefined) return nth[0] - 1;
      wanted -= rows.length;
      before = next;
    }
    return this.#reads.run(() => Math.min(this.#floor(0, selectors), upTo));
  }

  /** The last selected events up to a cursor; `next` is the cursor before all that was considered. */
  #findLast(selectors: SelectorSet, ids: Ids, upTo: Cursor): Found {
    const before = this.#store.first - 1;
    if (ids === null) {
      const next = Math.max(before, upTo - LOOKED_AT_PER_SLICE);
      return { rows: this.#find(selectors, null, next, upTo).rows, next };
    }
    const topics = JSON.stringify(ids);
    const [[edge]] = this.#sql.nthLast.all(upTo, share(ids) - 1, topics) as [[number | null]];
    const next = (edge ?? before + 1) - 1;
    return { rows: this.#sql.any.ofTopics.all(topics, next, upTo) as Row[], next };
  }
}

function statements(file: SqliteFile) {
  const find = (isLatest: boolean) => {
    const columns = `seq, size, ${isLatest ? STALE : "0"}`;
    return {
      all: file.prepare(`SELECT ${columns} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`),
      named: file.prepare(
        `SELECT ${columns}, name FROM events JOIN topics ON topics.id = topic WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
      ),
      // Of a few topics: told to use the index, or SQLite may prefer to look at all events.
      ofTopics: file.prepare(
        `SELECT ${columns} FROM events INDEXED BY events_by_topic
         WHERE topic IN (SELECT value FROM json_each(?)) AND seq > ? AND seq <= ? ORDER BY seq`,
      ),
    };
  };
  return {
    any: find(false),
    latest: find(true),
    nth: file.prepare(
      `SELECT min((SELECT seq FROM events INDEXED BY events_by_topic WHERE topic = value AND seq > ? ORDER BY seq LIMIT 1 OFFSET ?))
       FROM json_each(?)`,
    ),
    nthLast: file.prepare(
      `SELECT max((SELECT seq FROM events INDEXED BY events_by_topic WHERE topic = value AND seq <= ? ORDER BY seq DESC LIMIT 1 OFFSET ?))
       FROM json_each(?)`,
    ),
    count: file.prepare(
      `SELECT count(*), max(seq) FROM (SELECT seq FROM events INDEXED BY events_by_topic
       WHERE topic = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ${COUNTED_PER_SLICE})`,
    ),
    fetch: file.prepare(
      `SELECT ${entryColumns(file)} FROM json_each(?)
       CROSS JOIN events ON seq = value CROSS JOIN topics ON topics.id = topic`,
    ),
  };
}

/** How many events of each of these topics a slice finds. */
function share({ length }: readonly number[]): number {
  return Math.max(8, Math.floor(FOUND_PER_SLICE / Math.max(1, length)));
}

/** Events that one slice finds, roughly; and that it looks at when the selected topics are too many. */
const FOUND_PER_SLICE = 512;
const LOOKED_AT_PER_SLICE = 2048;
/** Events of a topic that one slice counts. */
const COUNTED_PER_SLICE = 20_000;

/** Of the selected topics; null when they are too many, and all events have to be looked at. */
type Ids = readonly number[] | null;

type Row = [seq: Cursor, size: number, isStale: 0 | 1, name?: Topic];

/** What one slice found in the order it looked; `next` is the last event that was considered. */
interface Found {
  readonly rows: readonly Row[];
  readonly next: Cursor;
}

/** 1 for an event that has a newer one of its topic and key. */
const STALE = `NOT "end" AND seq IS NOT (SELECT seq FROM newest WHERE newest.topic = events.topic AND newest.key = events.key)`;
