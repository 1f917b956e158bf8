import type { Cursor } from "./event-id.ts";
import type { StoredEvent } from "./stored-event.ts";

/** The retained events of one topic in a window. */
export class TopicIndex {
  /** Numbers, ascending; those before `start` are evicted. */
  seqs: Cursor[] = [];
  start = 0;
  /** The newest event without a key, which most are; 0 for none. */
  #newest: Cursor = 0;
  /** The newest event of each key, once there is one. */
  #newestOf: Map<string, Cursor> | null = null;
  /** The last evicted event; 0 for none. */
  evicted: Cursor;

  constructor(evicted: Cursor) {
    this.evicted = evicted;
  }

  get last(): Cursor {
    return this.seqs[this.seqs.length - 1] ?? 0;
  }

  add({ seq, key, end }: StoredEvent): void {
    this.seqs.push(seq);
    if (end) return; // an end is no news of what the topic is about
    if (key === "") this.#newest = seq;
    else (this.#newestOf ??= new Map()).set(key, seq);
  }

  /** The newest event of a key; 0 for none. Without a key it can be one that is evicted. */
  newest(key: string): Cursor {
    return key === "" ? this.#newest : (this.#newestOf?.get(key) ?? 0);
  }

  /** Whether no newer event has this event's key. */
  isNewest({ key, seq }: StoredEvent): boolean {
    return seq === this.newest(key);
  }

  /** The place in `seqs` of the first number greater than the cursor. */
  after(cursor: Cursor): number {
    let low = this.start;
    let high = this.seqs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.seqs[middle]! > cursor) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** @param entry the first */
  evictFirst(entry: StoredEvent): void {
    if (entry.key !== "" && this.isNewest(entry)) this.#newestOf!.delete(entry.key);
    this.evicted = this.seqs[this.start++]!;
    if (this.start > 64 && this.start * 2 > this.seqs.length) {
      this.seqs = this.seqs.slice(this.start);
      this.start = 0;
    }
  }
}

/** The numbers of some indexes in (from, upTo], in one ascending order. */
export function merge(indexes: readonly TopicIndex[], from: Cursor, upTo: Cursor): Iterable<Cursor> {
  return indexes.length === 1 ? walk(indexes[0]!, from, upTo) : mergeByHeap(indexes, from, upTo);
}

function* walk(index: TopicIndex, from: Cursor, upTo: Cursor): Generator<Cursor> {
  for (let place = index.after(from); place < index.seqs.length && index.seqs[place]! <= upTo; place++) {
    yield index.seqs[place]!;
  }
}

/** By a binary heap of the indexes' next places. */
function* mergeByHeap(indexes: readonly TopicIndex[], from: Cursor, upTo: Cursor): Generator<Cursor> {
  const heap: { seq: Cursor; place: number; index: TopicIndex }[] = [];
  const sink = (at: number): void => {
    const item = heap[at]!;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.seq < heap[child]!.seq) child++;
      if (heap[child]!.seq >= item.seq) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = item;
  };
  for (const index of indexes) {
    const place = index.after(from);
    if (place < index.seqs.length) heap.push({ seq: index.seqs[place]!, place, index });
  }
  for (let at = heap.length >>> 1; at-- > 0;) sink(at);
  while (heap.length > 0 && heap[0]!.seq <= upTo) {
    const top = heap[0]!;
    yield top.seq;
    top.place++;
    if (top.place < top.index.seqs.length) top.seq = top.index.seqs[top.place]!;
    else {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last;
    }
    sink(0);
  }
}
