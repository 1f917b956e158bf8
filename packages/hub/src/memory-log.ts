import { type Clock, systemClock } from "./clock.ts";
import { createEpoch, type Cursor, type EventId, formatEventId } from "./cursor.ts";
import { HubError } from "./errors.ts";
import { endId, type LogEntry, logEntry, type NewEvent } from "./event.ts";
import type { Bounds, EventLog, Page, ReadLimits } from "./log.ts";
import type { SelectorSet, Topic } from "./topic.ts";
import { merge, Trail } from "./trail.ts";

/** How much a {@link MemoryLog} keeps. What is over a bound is evicted, oldest first; `null` lifts a bound. */
export interface Retention {
  /** Events; default 100,000. */
  maxEvents?: number | null;
  /** Bytes: events as they go over the wire, their names, and {@link ENTRY_BYTES} for each; default 64 MiB. */
  maxBytes?: number | null;
  /** Milliseconds; default 24 h. */
  maxAge?: number | null;
}

/** What an event costs in memory beyond its encoded bytes, roughly: its objects and its places in the indexes. */
export const ENTRY_BYTES = 256;

export const MEMORY_LOG_DEFAULTS = Object.freeze({
  maxEvents: 100_000,
  maxBytes: 64 * 1024 * 1024,
  maxAge: 24 * 3_600_000,
}) satisfies Retention;

/** How many topics without a retained event are remembered by the number of their last evicted one. */
const MAX_FORGOTTEN = 16_384;
/** How many events one read looks at, selected or not: a pattern that matches little must not hold up the process. */
const MAX_LOOKED_AT = 4096;

/**
 * The log of one process's memory: nothing survives the process, and every start is a new epoch. Bounded by count,
 * bytes and age. Every operation answers at once. A cursor is found in O(1), a topic's events without touching others.
 */
export class MemoryLog implements EventLog {
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #maxAge: number;
  readonly #clock: Clock;
  readonly #epoch: string;
  /** A ring: the event with number n, kept since `#times[n & mask]`, is at `n & mask`. */
  #ring: (LogEntry | undefined)[] = Array.from({ length: 1024 });
  #times = new Float64Array(1024);
  #first: Cursor = 1;
  #last: Cursor = 0;
  #bytes = 0;
  readonly #trails = new Map<Topic, Trail>();
  readonly #published = new Map<string, Cursor>();
  /** Last evicted numbers of topics that have no trail; the oldest knowledge goes first, into `#forgottenUpTo`. */
  readonly #forgotten = new Map<Topic, Cursor>();
  #forgottenUpTo: Cursor = 0;
  readonly #listeners = new Set<(entries: readonly LogEntry[]) => void>();
  #closed = false;

  /** @throws RangeError when a bound is not a positive number */
  constructor(options: Retention & { clock?: Clock; random?: () => number } = {}) {
    const bound = (name: keyof Retention): number => {
      const value = options[name] === undefined ? MEMORY_LOG_DEFAULTS[name] : options[name];
      if (value === null) return Infinity;
      if (typeof value === "number" && value > 0) return value;
      throw new RangeError(`${name} must be a positive number or null, not ${String(value)}`);
    };
    this.#maxEvents = bound("maxEvents");
    this.#maxBytes = bound("maxBytes");
    this.#maxAge = bound("maxAge");
    this.#clock = options.clock ?? systemClock;
    this.#epoch = createEpoch(options.random ?? Math.random);
  }

  append(batch: readonly NewEvent[]): readonly EventId[] {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    const now = this.#clock.now();
    const ids: EventId[] = [];
    const entries: LogEntry[] = [];
    for (const event of batch) {
      const known = event.publishId === "" ? undefined : this.#published.get(publishKey(event));
      if (known === undefined) {
        const entry = logEntry(this.#epoch, this.#last + 1, event);
        // A message that comes anew, its event being evicted, ends its topic anew.
        if (event.publishId !== "")
          this.#published.delete(publishKey({ ...event, publishId: endId(event.publishId) }));
        this.#keep(entry, now);
        entries.push(entry);
        ids.push(formatEventId(this.#epoch, entry.seq));
      } else {
        ids.push(formatEventId(this.#epoch, known));
      }
    }
    this.#evict(now);
    if (entries.length > 0) for (const listener of this.#listeners) listener(entries);
    return ids;
  }

  #keep(entry: LogEntry, now: number): void {
    if (this.#last - this.#first + 1 === this.#ring.length) this.#grow();
    const slot = entry.seq & (this.#ring.length - 1);
    this.#ring[slot] = entry;
    this.#times[slot] = now;
    this.#last = entry.seq;
    this.#bytes += sizeOf(entry);
    let trail = this.#trails.get(entry.topic);
    if (trail === undefined) {
      trail = new Trail(this.#forgotten.get(entry.topic) ?? this.#forgottenUpTo);
      this.#forgotten.delete(entry.topic);
      this.#trails.set(entry.topic, trail);
    }
    trail.seqs.push(entry.seq);
    if (!entry.end) trail.newest.set(entry.key, entry.seq); // an end is no news of what the topic is about
    if (entry.publishId !== "") this.#published.set(publishKey(entry), entry.seq);
  }

  #grow(): void {
    const ring: (LogEntry | undefined)[] = Array.from({ length: this.#ring.length * 2 });
    const times = new Float64Array(ring.length);
    for (let seq = this.#first; seq <= this.#last; seq++) {
      ring[seq & (ring.length - 1)] = this.#entry(seq);
      times[seq & (ring.length - 1)] = this.#times[seq & (this.#ring.length - 1)]!;
    }
    this.#ring = ring;
    this.#times = times;
  }

  #entry(seq: Cursor): LogEntry {
    return this.#ring[seq & (this.#ring.length - 1)]!;
  }

  #evict(now: number): void {
    while (
      this.#first <= this.#last &&
      (this.#last - this.#first >= this.#maxEvents ||
        this.#bytes > this.#maxBytes ||
        now - this.#times[this.#first & (this.#ring.length - 1)]! > this.#maxAge)
    ) {
      this.#evictFirst();
    }
  }

  #evictFirst(): void {
    const entry = this.#entry(this.#first);
    this.#ring[this.#first & (this.#ring.length - 1)] = undefined;
    this.#first++;
    this.#bytes -= sizeOf(entry);
    if (entry.publishId !== "") this.#published.delete(publishKey(entry));
    const trail = this.#trails.get(entry.topic)!;
    trail.evictFirst();
    if (trail.newest.get(entry.key) === entry.seq) trail.newest.delete(entry.key);
    if (trail.start === trail.seqs.length) this.#forget(entry.topic, entry.seq);
  }

  #forget(topic: Topic, evicted: Cursor): void {
    this.#trails.delete(topic);
    this.#forgotten.set(topic, evicted);
    if (this.#forgotten.size <= MAX_FORGOTTEN) return;
    const [oldest, upTo] = this.#forgotten.entries().next().value!;
    this.#forgotten.delete(oldest);
    this.#forgottenUpTo = upTo;
  }

  /** The oldest cursor from which nothing that is selected is missing. */
  #floor(after: Cursor, selectors: SelectorSet): Cursor {
    if (after >= this.#first - 1) return after;
    if (selectors.patterns.length > 0) return this.#first - 1;
    let floor = after;
    for (const topic of selectors.topics) {
      const evicted = this.#trails.get(topic)?.evicted ?? this.#forgotten.get(topic) ?? this.#forgottenUpTo;
      if (evicted > floor) floor = evicted;
    }
    return floor;
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): Page {
    this.#evict(this.#clock.now());
    const from = Math.min(this.#floor(after, selectors), Math.max(after, limits.upTo));
    const byTopic = selectors.patterns.length === 0;
    const upTo = Math.min(limits.upTo, this.#last, byTopic ? Infinity : from + MAX_LOOKED_AT);
    const entries: LogEntry[] = [];
    const superseded: Cursor[] = [];
    let left = limits.bytes;
    let dropped = 0;
    let cursor = Math.max(from, upTo);
    for (const seq of byTopic ? this.#walkTopics(from, selectors, upTo) : this.#scan(from, selectors, upTo)) {
      const entry = this.#entry(seq);
      if (
        limits.latest === true &&
        !entry.end &&
        this.#trails.get(entry.topic)!.newest.get(entry.key) !== seq
      ) {
        dropped = seq;
        continue;
      }
      if (entries.length > 0 && entry.bytes > left) {
        cursor = dropped > 0 ? dropped : entries[entries.length - 1]!.seq;
        break;
      }
      left -= entry.bytes;
      entries.push(entry);
      superseded.push(dropped);
      dropped = 0;
    }
    superseded.push(dropped);
    return limits.latest === true ? { from, entries, superseded, cursor } : { from, entries, cursor };
  }

  survey(after: Cursor, selectors: SelectorSet): { from: Cursor; events: number } {
    this.#evict(this.#clock.now());
    const from = this.#floor(after, selectors);
    const trails = this.#trailsOf(selectors, this.#last - from);
    let events = 0;
    if (trails === null) for (const _ of this.#scan(from, selectors, this.#last)) events++;
    else for (const trail of trails) events += trail.seqs.length - trail.after(from);
    return { from, events };
  }

  rewind(count: number, selectors: SelectorSet): Cursor {
    this.#evict(this.#clock.now());
    const oldest = this.#floor(0, selectors);
    if (count === 0) return this.#last;
    if (count > this.#last - this.#first) return oldest;
    const trails = this.#trailsOf(selectors, this.#last - this.#first + 1);
    const lasts: Cursor[] = [];
    if (trails === null) {
      for (let seq = this.#last; seq >= this.#first && lasts.length < count; seq--) {
        if (selectors.matches(this.#entry(seq).topic)) lasts.push(seq);
      }
    } else {
      for (const { seqs, start } of trails) {
        for (let place = Math.max(start, seqs.length - count); place < seqs.length; place++)
          lasts.push(seqs[place]!);
      }
      lasts.sort((a, b) => b - a);
    }
    const nth = lasts[count - 1];
    return nth === undefined ? oldest : nth - 1;
  }

  ends(topics: readonly Topic[]): readonly Cursor[] {
    return topics.map((topic) => {
      const last = this.#trails.get(topic)?.last ?? 0;
      return last > 0 && this.#entry(last).end ? last : 0;
    });
  }

  /** The trails that hold all that is selected; null when walking `distance` events is cheaper than finding them. */
  #trailsOf(selectors: SelectorSet, distance: number): Trail[] | null {
    const trails: Trail[] = [];
    if (selectors.patterns.length === 0) {
      for (const topic of selectors.topics) {
        const trail = this.#trails.get(topic);
        if (trail !== undefined) trails.push(trail);
      }
      return trails;
    }
    if (distance <= this.#trails.size * 2) return null;
    for (const [topic, trail] of this.#trails) if (selectors.matches(topic)) trails.push(trail);
    return trails;
  }

  /** The numbers of the events of the selected topics in (from, upTo], ascending. */
  #walkTopics(from: Cursor, { topics }: SelectorSet, upTo: Cursor): Iterable<Cursor> {
    const trails = topics.map((topic) => this.#trails.get(topic)).filter((trail) => trail !== undefined);
    return merge(trails, from, upTo);
  }

  *#scan(from: Cursor, selectors: SelectorSet, upTo: Cursor): Generator<Cursor> {
    for (let seq = Math.max(from + 1, this.#first); seq <= upTo; seq++) {
      if (selectors.matches(this.#entry(seq).topic)) yield seq;
    }
  }

  tail(listener: (entries: readonly LogEntry[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  bounds(): Bounds {
    this.#evict(this.#clock.now());
    const events = this.#last - this.#first + 1;
    return { epoch: this.#epoch, first: this.#first, last: this.#last, events, bytes: this.#bytes };
  }

  close(): void {
    this.#closed = true;
  }
}

function sizeOf({ bytes, topic, key, publishId }: LogEntry): number {
  return bytes + topic.length + key.length + publishId.length + ENTRY_BYTES;
}

/** A publisher's id is its own within its topic. Neither can hold a NUL. */
function publishKey({ topic, publishId }: { topic: Topic; publishId: string }): string {
  return `${topic}\0${publishId}`;
}
