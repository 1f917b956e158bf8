import type { Cursor } from "../event-id.ts";
import type { StoredEvent } from "../../publish/message.ts";
import type { Page, ReadLimits } from "../event-log.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import { PageBuilder } from "../page-builder.ts";
import { ENTRY_BYTES } from "../retention.ts";
import type { SqliteFile } from "./file.ts";
import type { TimeSlicedQueue } from "./time-sliced-queue.ts";
import { ENTRY_COLUMNS, entryOf, type SqliteStore } from "./store.ts";

/** Events that one slice finds, roughly; and that it looks at when the selected topics are too many. */
const FOUND_PER_SLICE = 512;
const LOOKED_AT_PER_SLICE = 2048;
/** Events of a topic that one slice counts. */
const COUNTED_PER_SLICE = 20_000;

type Row = [seq: Cursor, size: number, isStale: 0 | 1, name?: Topic];

/** What one slice found in the order it looked; `next` is the last event that was considered. */
interface Found {
  readonly rows: readonly Row[];
  readonly next: Cursor;
}

/** 1 for an event that has a newer one of its topic and key. */
const STALE = `NOT "end" AND seq IS NOT (SELECT seq FROM newest WHERE newest.topic = events.topic AND newest.key = events.key)`;

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
         WHERE topic IN (SELECT value FROM json_each(?1)) AND seq > ?2 AND seq <= ?3 ORDER BY seq`,
      ),
    };
  };
  return {
    any: find(false),
    latest: find(true),
    nth: file.prepare(
      `SELECT min((SELECT seq FROM events INDEXED BY events_by_topic WHERE topic = value AND seq > ?2 ORDER BY seq LIMIT 1 OFFSET ?3))
       FROM json_each(?1)`,
    ),
    nthLast: file.prepare(
      `SELECT max((SELECT seq FROM events INDEXED BY events_by_topic WHERE topic = value AND seq <= ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3))
       FROM json_each(?1)`,
    ),
    count: file.prepare(
      `SELECT count(*), max(seq) FROM (SELECT seq FROM events INDEXED BY events_by_topic
       WHERE topic = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ${COUNTED_PER_SLICE})`,
    ),
    fetch: file.prepare(
      `SELECT ${ENTRY_COLUMNS} FROM json_each(?)
       CROSS JOIN events ON seq = value CROSS JOIN topics ON topics.id = topic`,
    ),
    end: file.prepare(
      `SELECT seq, "end" FROM events INDEXED BY events_by_topic
       WHERE topic = (SELECT id FROM topics WHERE name = ?) ORDER BY seq DESC LIMIT 1`,
    ),
  };
}

/** How many events of each of these topics a slice finds. */
function share({ length }: readonly number[]): number {
  return Math.max(8, Math.floor(FOUND_PER_SLICE / Math.max(1, length)));
}

/** Answers from a file what is asked of a log, slice by slice. */
export class SqliteReader {
  readonly #store: SqliteStore;
  readonly #slices: TimeSlicedQueue;
  readonly #sql: ReturnType<typeof statements>;

  constructor(file: SqliteFile, store: SqliteStore, slices: TimeSlicedQueue) {
    this.#store = store;
    this.#slices = slices;
    this.#sql = statements(file);
  }

  /** The oldest cursor, from this one on, from which nothing that is selected is missing. */
  #floor(after: Cursor, { topics, patterns }: SelectorSet): Cursor {
    const { first, forgotten } = this.#store;
    if (after >= first - 1) return after;
    if (patterns.length > 0) return first - 1;
    return Math.max(after, ...topics.map((topic) => this.#store.topics.evicted(topic) ?? forgotten));
  }

  /** Answers by the selected topics, all that there are in this moment; null when all events have to be looked at. */
  async #withTopics<T>(selectors: SelectorSet, use: (ids: readonly number[] | null) => T): Promise<T> {
    for (;;) {
      const answer = await this.#slices.run(() => {
        const ids = selectors.selectsAll ? null : this.#store.topics.select(selectors);
        return ids === undefined ? null : [use(ids)];
      });
      if (answer !== null) return answer[0]!;
    }
  }

  /** The first selected events after a cursor, as many as one slice may look at. */
  #find(
    selectors: SelectorSet,
    ids: readonly number[] | null,
    from: Cursor,
    upTo: Cursor,
    isLatest = false,
  ): Found {
    const sql = isLatest ? this.#sql.latest : this.#sql.any;
    if (ids !== null) {
      const topics = JSON.stringify(ids);
      // Up to where the busiest topic has had its share, the others have had no more than theirs.
      const [[edge]] = this.#sql.nth.values(topics, from, share(ids) - 1) as [[number | null]];
      const next = Math.min(edge ?? upTo, upTo);
      return { rows: sql.ofTopics.values(topics, from, next) as Row[], next };
    }
    const isAll = selectors.selectsAll;
    const limit = isAll ? FOUND_PER_SLICE : LOOKED_AT_PER_SLICE;
    const rows = (isAll ? sql.all : sql.named).values(from, upTo, limit) as Row[];
    const next = rows.length < limit ? upTo : rows[rows.length - 1]![0];
    return { rows: isAll ? rows : rows.filter(([, , , name]) => selectors.matches(name!)), next };
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): Promise<Page> {
    return this.#withTopics(selectors, (ids) => this.#page(after, selectors, ids, limits));
  }

  #page(after: Cursor, selectors: SelectorSet, ids: readonly number[] | null, limits: ReadLimits): Page {
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
    return this.#sql.fetch.values(JSON.stringify(seqs)).map((row) => entryOf(epochs, row));
  }

  async survey(after: Cursor, selectors: SelectorSet): Promise<{ from: Cursor; events: number }> {
    const { ids, from, upTo } = await this.#withTopics(selectors, (found) => ({
      ids: found,
      from: this.#floor(after, selectors),
      upTo: this.#store.last,
    }));
    if (selectors.selectsAll) return { from, events: upTo - from };
    const count = ids === null ? this.#countAmongAll(from, upTo, selectors) : this.#countOf(ids, from, upTo);
    return { from, events: await count };
  }

  async #countAmongAll(from: Cursor, upTo: Cursor, selectors: SelectorSet): Promise<number> {
    let events = 0;
    for (let at = from; at < upTo;) {
      const { rows, next } = await this.#slices.run(() => this.#find(selectors, null, at, upTo));
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
        const [[count, last]] = this.#sql.count.values(left.at(-1)!, at, upTo) as [[number, number | null]];
        events += count;
        budget -= count + COUNTED_PER_SLICE / 200; // finding a topic costs as much as counting some of its events
        if (count === COUNTED_PER_SLICE) at = last!;
        else {
          left.pop();
          at = from;
        }
      }
    };
    while (left.length > 0) await this.#slices.run(slice);
    return events;
  }

  /** The cursor before the last `count` selected events, or before the first when there are fewer. */
  async rewind(count: number, selectors: SelectorSet): Promise<Cursor> {
    if (selectors.selectsAll) return Math.max(this.#store.last - count, this.#store.first - 1);
    const { ids, last } = await this.#withTopics(selectors, (found) => ({
      ids: found,
      last: this.#store.last,
    }));
    let wanted = count;
    for (let before = last; wanted <= before && before >= this.#store.first;) {
      const { rows, next } = await this.#slices.run(() => this.#findLast(selectors, ids, before));
      const nth = rows[rows.length - wanted];
      if (nth !== undefined) return nth[0] - 1;
      wanted -= rows.length;
      before = next;
    }
    return this.#slices.run(() => this.#floor(0, selectors));
  }

  /** The last selected events up to a cursor; `next` is the cursor before all that was considered. */
  #findLast(selectors: SelectorSet, ids: readonly number[] | null, upTo: Cursor): Found {
    const before = this.#store.first - 1;
    if (ids === null) {
      const next = Math.max(before, upTo - LOOKED_AT_PER_SLICE);
      return { rows: this.#find(selectors, null, next, upTo).rows, next };
    }
    const topics = JSON.stringify(ids);
    const [[edge]] = this.#sql.nthLast.values(topics, upTo, share(ids) - 1) as [[number | null]];
    const next = (edge ?? before + 1) - 1;
    return { rows: this.#sql.any.ofTopics.values(topics, next, upTo) as Row[], next };
  }

  ends(topics: readonly Topic[]): Promise<readonly Cursor[]> {
    return this.#slices.run(() =>
      topics.map((topic) => {
        const [row] = this.#sql.end.values(topic) as [Cursor, 0 | 1][];
        return row?.[1] === 1 ? row[0] : 0;
      }),
    );
  }
}
