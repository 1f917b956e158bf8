import type { Topic } from "../../topics/topic.ts";
import type { BrokerRecord } from "../broker/broker.ts";
import type { Cursor } from "../event-id.ts";
import { OldestFirstMap } from "../oldest-first-map.ts";
import { ENDS } from "../retention.ts";

/**
 * Which topics have ended, and by which event. It is known for longer than the log holds that event.
 *
 * Every node reads the whole log in order, so all nodes have the same table. Only what came before it started is unknown to a
 * node. So the nodes save what changes in a second stream, a checkpoint. A node that starts replays the checkpoint, then the
 * log from where that stops.
 *
 * A topic that goes on must never be taken for ended: its clients would be answered 204 and stay away. So a topic stays in
 * the table only while everything after its end has been read:
 *
 * - Changes that do not join those before them make a replay forget everything before. They come from a node that does
 *   not know it, or some in between are lost.
 * - A replay ignores changes up to the cursor that it has reached. So it does no harm that changes are saved late, or by two
 *   nodes.
 * - A node uses the checkpoint only if the log still holds everything after it, and only in the same epoch.
 * - A node that has missed a part of the log forgets everything.
 * - The oldest topics are dropped first, and `since` says up to where. Every change carries it: when a dropped topic goes on,
 *   nobody saves that.
 *
 * Whatever node dies, and when: at worst an end is forgotten, and its clients wait.
 */
export class EndedTopics {
  readonly epoch: string;
  /** Oldest first. */
  readonly #ends = new OldestFirstMap<Topic, { readonly seq: Cursor; readonly time: number }>();
  /** What ended up to here and is not in the table may have ended all the same. */
  #since: Cursor;
  /** Everything up to here has been read. */
  #upTo: Cursor;
  /** By topic, the last change after `#joinsAfter`: oldest first. */
  readonly #unsaved = new Map<Topic, Cursor>();
  /** What is saved next has to join this. */
  #joinsAfter: Cursor;
  /** The end of the newest changes that are saved, with rows or without. */
  #savedUpTo: Cursor;

  /** @param cursor what ended before this is not known */
  constructor(epoch: string, cursor: Cursor) {
    this.epoch = epoch;
    this.#since = this.#upTo = this.#joinsAfter = this.#savedUpTo = cursor;
  }

  /** The table as it was saved. @param saved oldest first */
  static replay(epoch: string, saved: readonly Changes[]): EndedTopics {
    let table = new EndedTopics(epoch, saved[0]?.after ?? 0);
    for (const changes of saved) {
      if (changes.after > table.#upTo) table = new EndedTopics(epoch, changes.after);
      for (const [topic, seq, time] of changes.rows) {
        if (seq > table.#upTo) table.#change(topic, seq, time);
      }
      table.advance(changes.upTo);
      table.#forget(changes.since);
      table.noteSaved(changes);
    }
    return table;
  }

  get upTo(): Cursor {
    return this.#upTo;
  }

  get savedUpTo(): Cursor {
    return this.#savedUpTo;
  }

  /** Whether what comes after the cursor can be added. */
  joins(epoch: string, cursor: Cursor): boolean {
    return this.epoch === epoch && this.#upTo >= cursor;
  }

  /** Adds what comes next in the log; again is harmless. */
  take(records: readonly BrokerRecord[]): void {
    for (const { seq, time, event } of records) {
      if (seq <= this.#upTo) continue;
      this.#upTo = seq;
      if (event.end || this.#ends.has(event.topic)) this.#change(event.topic, seq, event.end ? time : 0);
    }
  }

  /** There is nothing more up to this cursor. */
  advance(cursor: Cursor): void {
    this.#upTo = Math.max(this.#upTo, cursor);
  }

  #change(topic: Topic, seq: Cursor, time: number): void {
    this.#ends.delete(topic);
    if (time > 0) this.#ends.set(topic, { seq, time });
    for (let oldest; (oldest = this.#ends.oldest()) !== undefined;) {
      const [, first] = oldest;
      if (this.#ends.size <= ENDS.topics && time - first.time <= ENDS.age) break;
      this.#forget(first.seq);
    }
    this.#unsaved.delete(topic);
    this.#unsaved.set(topic, seq);
    if (this.#unsaved.size <= ENDS.topics) return;
    // They cannot be saved: what is saved later does not join what was saved before.
    this.#unsaved.clear();
    this.#joinsAfter = seq;
  }

  #forget(upTo: Cursor): void {
    this.#since = Math.max(this.#since, upTo);
    for (let oldest; (oldest = this.#ends.oldest()) !== undefined;) {
      const [topic, { seq }] = oldest;
      if (seq > this.#since) break;
      this.#ends.delete(topic);
    }
  }

  /**
   * The event that ended the topic; 0 when it has not ended, or has begun anew; undefined when that is not known.
   *
   * @param evicted what the log has evicted: nobody knows of ends up to there that are not here
   */
  end(topic: Topic, evicted: Cursor): Cursor | undefined {
    return this.#ends.get(topic)?.seq ?? (this.#since <= evicted ? 0 : undefined);
  }

  /** What is to be saved next; null when there is nothing. */
  unsaved(): Changes | null {
    const isIdle = this.#ends.size === 0 && this.#unsaved.size === 0;
    if (isIdle || this.#upTo <= this.#savedUpTo) return null;
    const rows: Change[] = [];
    for (const [topic, seq] of this.#unsaved) {
      rows.push([topic, seq, this.#ends.get(topic)?.time ?? 0]);
      if (rows.length === MOST_ROWS) break;
    }
    const isAll = rows.length === this.#unsaved.size;
    return {
      since: this.#since,
      after: this.#joinsAfter,
      upTo: isAll ? this.#upTo : rows.at(-1)![1],
      rows,
    };
  }

  /** These changes are saved, by whatever node: all nodes make the same. */
  noteSaved({ after, upTo, rows }: Changes): void {
    this.#savedUpTo = Math.max(this.#savedUpTo, upTo);
    // Changes without rows are replaced by the next ones, which have to join what came before them.
    this.#joinsAfter = Math.max(this.#joinsAfter, rows.length > 0 ? upTo : after);
    for (const [topic, seq] of this.#unsaved) {
      if (seq > this.#joinsAfter) break;
      this.#unsaved.delete(topic);
    }
  }
}

/** A topic that ended, or, with a time of 0, has begun anew: by which event, and when the log took that. */
export type Change = readonly [topic: Topic, seq: Cursor, time: number];

/** What changed in the table between two cursors of the log. */
export interface Changes {
  /** What ended up to here may have gone on, or been dropped: the node does not know. */
  readonly since: Cursor;
  readonly after: Cursor;
  readonly upTo: Cursor;
  /** In the order of their numbers; of each topic the last one. */
  readonly rows: readonly Change[];
}

/** The most rows that are saved at once: they fit into a message, whatever the topics. */
export const MOST_ROWS = 256;
