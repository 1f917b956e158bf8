import type { Cursor } from "./event-id.ts";
import type { StoredEvent } from "../publish/message.ts";
import type { Page, ReadLimits } from "./event-log.ts";
import type { SelectorSet, Topic } from "../topics/topic.ts";
import { idempotencyName } from "./numbering.ts";
import { PageBuilder } from "./page-builder.ts";
import { type Limits, sizeOf } from "./retention.ts";
import { merge, TopicIndex } from "./topic-index.ts";

/** How many topics without a retained event are remembered by the number of their last evicted one. */
const MAX_FORGOTTEN = 16_384;
/** How many events one read looks at, selected or not: a pattern that matches little must not hold up the process. */
const MAX_LOOKED_AT = 4096;

/**
 * The newest part of a log, in memory: an unbroken run of events, of which the oldest are evicted when it is over its
 * bounds. A cursor is found in O(1), or O(log n) where the log leaves numbers out, a topic's events without touching others.
 *
 * Of what came before it, it knows for each topic the last event, or an upper bound: what {@link floor} answers.
 */
export class RecentEvents {
  readonly #limits: Limits;
  /** A ring: the event at place p, kept since `#times[p & mask]`, is at `p & mask`. */
  #ring: (StoredEvent | undefined)[] = Array.from({ length: 1024 });
  #times = new Float64Array(1024);
  /** The places in use: from `#start` up to, not with, `#end`. */
  #start = 0;
  #end = 0;
  /** Where an event stands is its number less this, unless numbers are left out. */
  #shift = 0;
  #first: Cursor;
  #last: Cursor;
  #bytes = 0;
  readonly #trails = new Map<Topic, TopicIndex>();
  readonly #published = new Map<string, Cursor>();
  /** Last evicted numbers of topics that have no trail; the oldest knowledge goes first, into `#forgottenUpTo`. */
  readonly #forgotten = new Map<Topic, Cursor>();
  #forgottenUpTo: Cursor;

  /** @param last the event before the first that will be pushed */
  constructor(limits: Limits, last: Cursor = 0) {
    this.#limits = limits;
    this.#first = last + 1;
    this.#last = last;
    this.#forgottenUpTo = last;
  }

  get first(): Cursor {
    return this.#first;
  }

  get last(): Cursor {
    return this.#last;
  }

  get events(): number {
    return this.#end - this.#start;
  }

  /** As {@link sizeOf} counts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** An event after the last one. @param time when the log took it */
  push(entry: StoredEvent, time: number): void {
    if (this.events === this.#ring.length) this.#grow();
    this.#shift = entry.seq - this.#end;
    const slot = this.#end++ & (this.#ring.length - 1);
    this.#ring[slot] = entry;
    this.#times[slot] = time;
    this.#last = entry.seq;
    this.#bytes += sizeOf(entry);
    let trail = this.#trails.get(entry.topic);
    if (trail === undefined) {
      trail = new TopicIndex(this.#forgotten.get(entry.topic) ?? this.#forgottenUpTo);
      this.#forgotten.delete(entry.topic);
      this.#trails.set(entry.topic, trail);
    }
    trail.add(entry);
    if (entry.idempotencyKey !== "")
      this.#published.set(idempotencyName(entry.topic, entry.idempotencyKey), entry.seq);
  }

  #grow(): void {
    const ring: (StoredEvent | undefined)[] = Array.from({ length: this.#ring.length * 2 });
    const times = new Float64Array(ring.length);
    for (let place = this.#start; place < this.#end; place++) {
      ring[place & (ring.length - 1)] = this.#at(place);
      times[place & (ring.length - 1)] = this.#times[place & (this.#ring.length - 1)]!;
    }
    this.#ring = ring;
    this.#times = times;
  }

  #at(place: number): StoredEvent {
    return this.#ring[place & (this.#ring.length - 1)]!;
  }

  #entry(seq: Cursor): StoredEvent {
    return this.#at(this.#place(seq));
  }

  /** The place of the first event with this number or a greater one. */
  #place(seq: Cursor): number {
    const guess = seq - this.#shift;
    if (guess >= this.#start && guess < this.#end && this.#at(guess).seq === seq) return guess;
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#at(middle).seq >= seq) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Drops what is over the bounds at this time. */
  evict(now: number): void {
    const { maxEvents, maxBytes, maxAge } = this.#limits;
    while (
      this.#start < this.#end &&
      (this.events > maxEvents ||
        this.#bytes > maxBytes ||
        now - this.#times[this.#start & (this.#ring.length - 1)]! > maxAge)
    ) {
      this.#evictFirst();
    }
  }

  /** Drops what the log itself no longer holds. */
  evictUpTo(cursor: Cursor): void {
    while (this.#start < this.#end && this.#at(this.#start).seq <= cursor) this.#evictFirst();
  }

  #evictFirst(): void {
    const entry = this.#at(this.#start);
    this.#ring[this.#start++ & (this.#ring.length - 1)] = undefined;
    this.#first = entry.seq + 1;
    this.#bytes -= sizeOf(entry);
    if (entry.idempotencyKey !== "")
      this.#unpublish(idempotencyName(entry.topic, entry.idempotencyKey), entry.seq);
    const trail = this.#trails.get(entry.topic)!;
    trail.evictFirst(entry);
    if (trail.start === trail.seqs.length) this.#forget(entry.topic, entry.seq);
  }

  #unpublish(key: string, seq: Cursor): void {
    if (this.#published.get(key) === seq) this.#published.delete(key); // an end can have come anew under its id
  }

  #forget(topic: Topic, evicted: Cursor): void {
    this.#trails.delete(topic);
    this.#forgotten.set(topic, evicted);
    if (this.#forgotten.size <= MAX_FORGOTTEN) return;
    const [oldest, upTo] = this.#forgotten.entries().next().value!;
    this.#forgotten.delete(oldest);
    this.#forgottenUpTo = upTo;
  }

  /** The number of the event that is here under this topic and publisher's id. */
  published(topic: Topic, idempotencyKey: string): Cursor | undefined {
    return this.#published.get(idempotencyName(topic, idempotencyKey));
  }

  /** The oldest cursor, from this one on, from which nothing that is selected is missing here. */
  floor(after: Cursor, selectors: SelectorSet): Cursor {
    if (after >= this.#first - 1) return after;
    if (selectors.patterns.length > 0) return this.#first - 1;
    let floor = after;
    for (const topic of selectors.topics) {
      const evicted = this.#trails.get(topic)?.evicted ?? this.#forgotten.get(topic) ?? this.#forgottenUpTo;
      if (evicted > floor) floor = evicted;
    }
    return floor;
  }

  /** As `EventLog.read`, of what is here. */
  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): Page {
    const from = Math.min(this.floor(after, selectors), Math.max(after, limits.upTo));
    const page = new PageBuilder<StoredEvent>(limits.bytes);
    const cursor = this.extend(page, from, selectors, limits);
    const { items: entries } = page;
    return limits.latest === true
      ? { from, entries, superseded: page.superseded, cursor }
      : { from, entries, cursor };
  }

  /** Goes on with a page, after a cursor from which nothing that is selected is missing here. @returns the page's end */
  extend(
    page: PageBuilder<StoredEvent>,
    from: Cursor,
    selectors: SelectorSet,
    limits: Omit<ReadLimits, "bytes">,
  ): Cursor {
    const byTopic = selectors.patterns.length === 0;
    const most = this.#place(from + 1) + MAX_LOOKED_AT;
    const upTo = Math.min(limits.upTo, byTopic || most > this.#end ? this.#last : this.#at(most - 1).seq);
    for (const seq of byTopic ? this.#walkTopics(from, selectors, upTo) : this.#scan(from, selectors, upTo)) {
      const entry = this.#entry(seq);
      if (limits.latest === true && !entry.end && !this.#trails.get(entry.topic)!.isNewest(entry))
        page.drop(seq);
      else if (!page.take(entry, seq, entry.bytes)) return page.end;
    }
    return Math.max(from, upTo);
  }

  /** The newest event of a topic and key, if it is here; 0 where there is none. */
  newest({ topic, key }: Pick<StoredEvent, "topic" | "key">): Cursor {
    return this.#trails.get(topic)?.newest(key) ?? 0;
  }

  /** As `EventLog.survey`, of what is here. */
  survey(after: Cursor, selectors: SelectorSet): { from: Cursor; events: number } {
    const from = this.floor(after, selectors);
    const trails = this.#trailsOf(selectors, this.#end - this.#place(from + 1));
    let events = 0;
    if (trails === null) for (const _ of this.#scan(from, selectors, this.#last)) events++;
    else for (const trail of trails) events += trail.seqs.length - trail.after(from);
    return { from, events };
  }

  /** The cursor before the last `count` selected events; null when there are fewer here. */
  rewind(count: number, selectors: SelectorSet): Cursor | null {
    if (count === 0) return this.#last;
    if (count > this.events) return null;
    const trails = this.#trailsOf(selectors, this.events);
    const lasts: Cursor[] = [];
    if (trails === null) {
      for (let place = this.#end - 1; place >= this.#start && lasts.length < count; place--) {
        const { topic, seq } = this.#at(place);
        if (selectors.matches(topic)) lasts.push(seq);
      }
    } else {
      for (const { seqs, start } of trails) {
        for (let place = Math.max(start, seqs.length - count); place < seqs.length; place++)
          lasts.push(seqs[place]!);
      }
      lasts.sort((a, b) => b - a);
    }
    const nth = lasts[count - 1];
    return nth === undefined ? null : nth - 1;
  }

  /** The number of the event that ended the topic, 0 when it has not ended; undefined when none of its events is here. */
  end(topic: Topic): Cursor | undefined {
    const last = this.#trails.get(topic)?.last;
    return last === undefined ? undefined : this.#entry(last).end ? last : 0;
  }

  /** The trails that hold all that is selected; null when walking `distance` events is cheaper than finding them. */
  #trailsOf(selectors: SelectorSet, distance: number): TopicIndex[] | null {
    const trails: TopicIndex[] = [];
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
    for (let place = this.#place(from + 1); place < this.#end; place++) {
      const { topic, seq } = this.#at(place);
      if (seq > upTo) return;
      if (selectors.matches(topic)) yield seq;
    }
  }
}
