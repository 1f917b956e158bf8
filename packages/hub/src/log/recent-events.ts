import type { Clock } from "../clock.ts";
import type { Cursor } from "./event-id.ts";
import type { StoredEvent } from "./stored-event.ts";
import type { Bounds, MaybePromise, Page, Position, PositionRequest, ReadLimits } from "./event-log.ts";
import type { SelectorSet, Topic } from "../topics/topic.ts";
import { idempotencyName } from "./numbering.ts";
import { OldestFirstMap } from "./oldest-first-map.ts";
import { PageBuilder } from "./page-builder.ts";
import { type LastSeen, toPosition } from "./last-event-id.ts";
import { ENDS, type Limits, sizeOf } from "./retention.ts";
import { type Sliced, TimeSlicedQueue } from "./time-sliced-queue.ts";
import { merge, TopicIndex } from "./topic-index.ts";

/**
 * The newest part of a log, in memory: an unbroken run of events, of which the oldest are evicted when it is over its
 * bounds. A cursor is found in O(1), or O(log n) where the log leaves numbers out, a topic's events without touching others.
 *
 * Of what came before it, it knows for each topic the last event, or an upper bound: what {@link floor} answers.
 */
export class RecentEvents {
  readonly #limits: Limits;
  readonly #slices: TimeSlicedQueue;
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
  readonly #indexes = new Map<Topic, TopicIndex>();
  readonly #published = new Map<string, Cursor>();
  /**
   * Last evicted numbers of topics that have no index, negative for events that ended their topic; the oldest knowledge goes
   * first, into `#forgottenUpTo`.
   */
  readonly #forgotten = new OldestFirstMap<Topic, Cursor>();
  #forgottenUpTo: Cursor;
  /** Topics whose last event ended them, and is evicted: its number and its time. The oldest knowledge goes first. */
  readonly #ended = new OldestFirstMap<Topic, { readonly seq: Cursor; readonly time: number }>();

  /** @param last the event before the first that will be pushed */
  constructor(limits: Limits, clock: Clock, last: Cursor = 0) {
    this.#limits = limits;
    this.#slices = new TimeSlicedQueue(clock);
    this.#first = last + 1;
    this.#last = last;
    this.#forgottenUpTo = last;
  }

  /** The oldest event that is here; the next one to come when there is none. */
  get first(): Cursor {
    return this.#first;
  }

  /** The newest event that was pushed. */
  get last(): Cursor {
    return this.#last;
  }

  /** How many are here. */
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
    let index = this.#indexes.get(entry.topic);
    if (index === undefined) {
      index = new TopicIndex(this.#evictedOf(entry.topic));
      this.#forgotten.delete(entry.topic);
      this.#ended.delete(entry.topic);
      this.#indexes.set(entry.topic, index);
    }
    index.add(entry);
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

  /** Drops what is over the bounds at this time, or so many events of it. True when there may be more. */
  evict(now: number, atMost = Infinity): boolean {
    const { maxEvents, maxBytes, maxAge } = this.#limits;
    let left = atMost;
    while (
      left > 0 &&
      this.#start < this.#end &&
      (this.events > maxEvents ||
        this.#bytes > maxBytes ||
        now - this.#times[this.#start & (this.#ring.length - 1)]! > maxAge)
    ) {
      this.#evictFirst();
      left--;
    }
    for (let oldest; (oldest = this.#ended.oldest()) !== undefined;) {
      const [topic, { time }] = oldest;
      if (now - time <= ENDS.age) break;
      this.#ended.delete(topic);
    }
    return left === 0;
  }

  /** Drops what the log itself no longer holds. */
  evictUpTo(cursor: Cursor): void {
    while (this.#start < this.#end && this.#at(this.#start).seq <= cursor) this.#evictFirst();
  }

  #evictFirst(): void {
    const entry = this.#at(this.#start);
    const time = this.#times[this.#start & (this.#ring.length - 1)]!;
    this.#ring[this.#start++ & (this.#ring.length - 1)] = undefined;
    this.#first = entry.seq + 1;
    this.#bytes -= sizeOf(entry);
    if (entry.idempotencyKey !== "")
      this.#unpublish(idempotencyName(entry.topic, entry.idempotencyKey), entry.seq);
    const index = this.#indexes.get(entry.topic)!;
    index.evictFirst(entry);
    if (index.start < index.seqs.length) return;
    this.#forget(entry.topic, entry.end ? -entry.seq : entry.seq);
    if (entry.end) this.learnEnd(entry.topic, entry.seq, time);
  }

  /** The topic ended with an event that is not here any more. @param time when the log took that event */
  learnEnd(topic: Topic, seq: Cursor, time: number): void {
    this.#ended.set(topic, { seq, time });
    if (this.#ended.size > ENDS.topics) this.#ended.delete(this.#ended.oldest()![0]);
  }

  #unpublish(key: string, seq: Cursor): void {
    if (this.#published.get(key) === seq) this.#published.delete(key); // an end can have come anew under its id
  }

  #forget(topic: Topic, evicted: Cursor): void {
    this.#indexes.delete(topic);
    this.#forgotten.set(topic, evicted);
    if (this.#forgotten.size <= MAX_FORGOTTEN) return;
    const [oldest, upTo] = this.#forgotten.oldest()!;
    this.#forgotten.delete(oldest);
    this.#forgottenUpTo = Math.abs(upTo);
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
      const evicted = this.#indexes.get(topic)?.evicted ?? this.#evictedOf(topic);
      if (evicted > floor) floor = evicted;
    }
    return floor;
  }

  /** The last evicted event, or an upper bound, of a topic of which no event is here. */
  #evictedOf(topic: Topic): Cursor {
    return Math.abs(this.#forgotten.get(topic) ?? this.#ended.get(topic)?.seq ?? this.#forgottenUpTo);
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
    const most = this.#place(from + 1) + Math.ceil(Math.min(MAX_LOOKED_AT, MAX_READ_STEPS / selectors.cost));
    const upTo = Math.min(limits.upTo, byTopic || most > this.#end ? this.#last : this.#at(most - 1).seq);
    for (const seq of byTopic ? this.#walkTopics(from, selectors, upTo) : this.#scan(from, selectors, upTo)) {
      const entry = this.#entry(seq);
      if (limits.latest === true && !entry.end && !this.#indexes.get(entry.topic)!.isNewest(entry))
        page.drop(seq);
      else if (!page.take(entry, seq, entry.bytes)) return page.end;
    }
    return Math.max(from, upTo);
  }

  /** The newest event of a topic and key, if it is here; 0 where there is none. */
  newest({ topic, key }: Pick<StoredEvent, "topic" | "key">): Cursor {
    return this.#indexes.get(topic)?.newest(key) ?? 0;
  }

  /**
   * As `EventLog.position`, from the bounds of this moment. What takes long, looking for the last events and counting, follows in
   * slices, and looks at nothing that comes meanwhile. Events that are evicted meanwhile are not counted; the first read from
   * the cursor says that they are gone.
   *
   * @param elsewhere where the log holds more; null: nowhere
   */
  position<Other>(
    lastSeen: LastSeen,
    request: PositionRequest,
    bounds: Bounds,
    elsewhere: Elsewhere<Other> | null,
  ): MaybePromise<Position | Other> {
    const { selectors, replay } = request;
    const { cursor } = lastSeen;
    const distance = cursor === null ? (replay === 0 ? 0 : this.events) : this.#end - this.#place(cursor + 1);
    const steps = isScanned(selectors) ? distance * selectors.cost : 0;
    return this.#slices.run(this.#position(lastSeen, request, bounds, elsewhere), steps);
  }

  *#position<Other>(
    lastSeen: LastSeen,
    { selectors, replay, counted }: PositionRequest,
    bounds: Bounds,
    elsewhere: Elsewhere<Other> | null,
  ): Sliced<MaybePromise<Position | Other>> {
    const { last: upTo } = bounds;
    const isWhole = (): boolean => elsewhere === null || elsewhere.isEmpty();
    const ends: Cursor[] = [];
    for (const topic of selectors.topics) {
      const end = this.end(topic) ?? (isWhole() ? 0 : undefined);
      if (end !== undefined) ends.push(end);
    }
    const asked = lastSeen.cursor ?? (yield* this.#beforeLast(replay, selectors, upTo));
    if (asked === null && !isWhole()) return elsewhere!.position(null);
    const after = asked ?? 0;
    const from = Math.min(this.floor(after, selectors), Math.max(after, upTo));
    const isHere = ends.length === selectors.topics.length && (from === after || isWhole());
    if (!isHere) return elsewhere!.position(asked);
    const replayed = counted ? yield* this.#count(from, selectors, upTo) : 0;
    // What has left this meanwhile is elsewhere, and was not counted.
    if (this.floor(from, selectors) > from && !isWhole()) return elsewhere!.position(asked);
    return toPosition(lastSeen, bounds, { from, replayed, ends });
  }

  /** How many selected events there are in (after, upTo]. */
  *#count(after: Cursor, selectors: SelectorSet, upTo: Cursor): Sliced<number> {
    if (selectors.selectsAll) return this.#place(upTo + 1) - this.#place(after + 1);
    let events = 0;
    const count = (index: TopicIndex): void => {
      events += index.after(upTo) - index.after(after);
    };
    if (selectors.patterns.length === 0) {
      for (const topic of selectors.topics) {
        const index = this.#indexes.get(topic);
        if (index !== undefined) count(index);
      }
      return events;
    }
    let topics = this.#indexes.size;
    if (this.#end - this.#place(after + 1) > topics * 2) {
      for (const [topic, index] of this.#indexes) {
        if (topics-- === 0) break; // the others have come since
        if (selectors.matches(topic)) count(index);
        if (this.#slices.spend(selectors.cost)) yield;
      }
      return events;
    }
    for (let place = this.#place(after + 1); place < this.#end; place++) {
      const { topic, seq } = this.#at(place);
      if (seq > upTo) break;
      if (selectors.matches(topic)) events++;
      if (!this.#slices.spend(selectors.cost + lengthCost(topic))) continue;
      yield;
      place = Math.max(place, this.#start - 1);
    }
    return events;
  }

  /** The cursor before the last `count` selected events up to this one; null when there are fewer here. */
  *#beforeLast(count: number, selectors: SelectorSet, upTo: Cursor): Sliced<Cursor | null> {
    if (count === 0) return upTo;
    if (count > this.events) return null;
    if (selectors.selectsAll) return this.#at(this.#end - count).seq - 1;
    if (selectors.patterns.length === 0) return this.#beforeLastOf(selectors.topics, count);
    const known = this.events > this.#indexes.size * 2 ? new Map<Topic, boolean>() : null;
    for (let place = this.#end - 1; place >= this.#start; place--) {
      const { topic, seq } = this.#at(place);
      let isSelected = known?.get(topic);
      const isLooked = isSelected === undefined;
      if (isSelected === undefined) {
        isSelected = selectors.matches(topic);
        known?.set(topic, isSelected);
      }
      if (isSelected && --count === 0) return seq - 1;
      if (this.#slices.spend((isLooked ? selectors.cost : 1) + lengthCost(topic))) yield;
    }
    return null;
  }

  #beforeLastOf(topics: readonly Topic[], count: number): Cursor | null {
    const indexes = topics.map((topic) => this.#indexes.get(topic)).filter((index) => index !== undefined);
    const hasEnough = (place: number): boolean => {
      const after = this.#at(place).seq - 1;
      let events = 0;
      for (const index of indexes) events += index.seqs.length - index.after(after);
      return events >= count;
    };
    if (!hasEnough(this.#start)) return null;
    let low = this.#start; // from here on there are enough
    let high = this.#end;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (hasEnough(middle)) low = middle;
      else high = middle;
    }
    return this.#at(low).seq - 1;
  }

  /** The number of the event that ended the topic, 0 when it has not ended; undefined when that is not known here. */
  end(topic: Topic): Cursor | undefined {
    const last = this.#indexes.get(topic)?.last;
    if (last !== undefined) return this.#entry(last).end ? last : 0;
    const ended = this.#ended.get(topic)?.seq;
    if (ended !== undefined) return ended;
    // An end that is too old to be remembered here may still be in the log.
    return (this.#forgotten.get(topic) ?? 0) > 0 ? 0 : undefined;
  }

  /** The numbers of the events of the selected topics in (from, upTo], ascending. */
  #walkTopics(from: Cursor, { topics }: SelectorSet, upTo: Cursor): Iterable<Cursor> {
    const indexes = topics.map((topic) => this.#indexes.get(topic)).filter((index) => index !== undefined);
    return merge(indexes, from, upTo);
  }

  *#scan(from: Cursor, selectors: SelectorSet, upTo: Cursor): Generator<Cursor> {
    for (let place = this.#place(from + 1); place < this.#end; place++) {
      const { topic, seq } = this.#at(place);
      if (seq > upTo) return;
      if (selectors.matches(topic)) yield seq;
    }
  }
}

/** How many topics without a retained event are remembered by the number of their last evicted one. */
const MAX_FORGOTTEN = 16_384;
/** The rest of a log. */
interface Elsewhere<Other> {
  /** True while all that the log holds is among the recent events. */
  isEmpty: () => boolean;
  /** Answers instead. @param after the cursor that was asked for, where that is known */
  position: (after: Cursor | null) => MaybePromise<Other>;
}

/** To look a topic up, or to match it, is to compare its text: a step for every 64 characters. */
function lengthCost(topic: Topic): number {
  return topic.length >>> 6;
}

/** Whether topics have to be matched one by one to find what is selected. */
function isScanned(selectors: SelectorSet): boolean {
  return selectors.patterns.length > 0 && !selectors.selectsAll;
}

/** How many events one read looks at, selected or not: a pattern that matches little must not hold up the process. */
const MAX_LOOKED_AT = 4096;
/** The most steps of one read for many patterns, as of a time-sliced queue: less than a millisecond. */
const MAX_READ_STEPS = 65_536;
