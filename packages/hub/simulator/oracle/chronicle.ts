import type { Selection } from "./selection.ts";
import type { Verdict } from "./verdict.ts";

/** An event that a log has taken, as the publisher meant it. */
export interface Accepted {
  readonly epoch: Epoch;
  /** Which of all events that were ever taken. */
  readonly order: number;
  readonly seq: number;
  readonly topic: string;
  readonly key: string;
  readonly idempotencyKey: string;
  readonly end: boolean;
  /** What a client decodes. */
  readonly type: string;
  readonly data: string;
  /** Whether that was published as JSON. */
  readonly json: boolean;
  /** What it counts for `maxBytes`. */
  readonly size: number;
  /** By the clock that ages it. */
  readonly time: number;
}

/** An incarnation of the log: what it has taken, after what it found when it began. */
export class Epoch {
  readonly name: string;
  readonly parent: Epoch | null;
  /** The last event of its parent that it goes on after. */
  readonly inherited: number;
  readonly own: Accepted[] = [];
  /** What it had taken, and the store has lost since: another event can have the number. */
  readonly lost: Accepted[] = [];
  /** Numbers above this stand for two events, since the store lost its end and nobody has noticed yet. */
  ambiguousAfter = Infinity;

  /** The last event that was evicted, ever: a copy that has it again is no surprise to who was told. */
  evicted: number;

  constructor(name: string, parent: Epoch | null, inherited: number) {
    this.name = name;
    this.evicted = Math.min(parent?.evicted ?? 0, inherited);
    this.parent = parent;
    this.inherited = inherited;
  }

  get last(): number {
    return this.own.at(-1)?.seq ?? this.inherited;
  }

  /** False: the number can stand for another event than the one that is known here. */
  isCertain(seq: number): boolean {
    return seq <= this.ambiguousAfter;
  }

  /** False: events of up to this number were lost, and may have been told of before that. */
  isWhole(seq: number): boolean {
    return this.isCertain(seq) && this.lost.every((event) => seq < event.seq);
  }

  /** Whether a number of the other epoch means in this one what it means there. */
  goesOnWith(other: Epoch, seq: number): boolean {
    if (other === this) return true;
    return seq <= this.inherited && this.parent !== null && this.parent.goesOnWith(other, seq);
  }

  find(seq: number): Accepted | undefined {
    if (seq <= this.inherited) return this.parent?.find(seq);
    const event = this.own[place(this.own, seq)];
    return event?.seq === seq ? event : undefined;
  }

  /** The events with numbers in (after, upTo], in order. */
  *between(after: number, upTo: number): Generator<Accepted> {
    if (after < this.inherited && this.parent !== null)
      yield* this.parent.between(after, Math.min(upTo, this.inherited));
    for (let at = place(this.own, after + 1); at < this.own.length && this.own[at]!.seq <= upTo; at++)
      yield this.own[at]!;
  }

  /** The last event of a topic up to a number. */
  lastOf(topic: string, upTo: number): Accepted | undefined {
    for (let at = this.own.length - 1; at >= 0; at--) {
      const event = this.own[at]!;
      if (event.seq <= upTo && event.topic === topic) return event;
    }
    return this.parent?.lastOf(topic, Math.min(upTo, this.inherited));
  }

  id(seq: number): string {
    return `${this.name}-${seq}`;
  }
}

/** Where the first event with this number or a greater one stands. */
function place(events: readonly Accepted[], seq: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (events[middle]!.seq >= seq) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A cursor, in the epoch in which it means something. */
export interface Place {
  readonly epoch: Epoch;
  readonly seq: number;
}

/** Everything that the store has ever taken, seen from within the store: never evicted, never lost. */
export class Chronicle {
  readonly #verdict: Verdict;
  readonly epochs = new Map<string, Epoch>();
  /** The store's own; a node can be late to learn of it. */
  current: Epoch | null = null;
  #first = 1;
  /** The oldest event that the bounds let stay: a store can be late to evict. */
  firstDue = 1;
  accepted = 0;
  /** Of a log that nodes share: they tell every new epoch as a gap, and give what it inherits under ids of its own. */
  isShared = false;

  /** The oldest event that the store still has. */
  get first(): number {
    return this.#first;
  }

  set first(first: number) {
    this.#first = first;
    const { current } = this;
    if (current !== null && first < Infinity) current.evicted = Math.max(current.evicted, first - 1);
  }

  constructor(verdict: Verdict) {
    this.#verdict = verdict;
  }

  /** @param inherited what of its parent's events there still is; the parent's others are lost */
  begin(name: string, parent: Epoch | null, inherited: number): Epoch {
    if (this.epochs.has(name)) this.#verdict.wrong("ids", `the epoch ${name} has come again`);
    this.current = new Epoch(name, parent, inherited);
    this.epochs.set(name, this.current);
    return this.current;
  }

  /**
   * The store is back in this epoch, with what it had up to this event.
   *
   * @param isKnown somebody knows of events that are lost: until the epoch ends, their numbers can stand for others
   */
  restore(epoch: Epoch, last: number, isKnown: boolean): void {
    this.current = epoch;
    epoch.lost.push(...epoch.own.splice(place(epoch.own, last + 1)));
    if (isKnown) epoch.ambiguousAfter = Math.min(epoch.ambiguousAfter, last);
  }

  /** An older copy has events that were lost since it was made: they are there again. No number was given twice. */
  regain(epoch: Epoch, last: number): void {
    const back = epoch.lost.filter(({ seq }) => seq <= last);
    if (back.length === 0) return;
    const lost = epoch.lost.filter(({ seq }) => seq > last);
    epoch.lost.splice(0, Infinity, ...lost);
    epoch.own.push(...back);
    epoch.own.sort((a, b) => a.seq - b.seq);
  }

  accept(event: Omit<Accepted, "epoch" | "order">): void {
    const epoch = this.current!;
    if (event.seq <= epoch.last) {
      const before = epoch.find(event.seq);
      this.#verdict.wrong(
        "ids",
        `${epoch.id(event.seq)} is given to ${event.data}, after ${before === undefined ? `${epoch.id(epoch.last)} was given` : before.data}`,
      );
      return;
    }
    epoch.own.push({ ...event, epoch, order: this.accepted++ });
  }

  /** What an id stands for; null for one that no log has given. */
  placeOf(id: string): Place | null {
    const at = id.lastIndexOf("-");
    const epoch = this.epochs.get(id.slice(0, at));
    return epoch === undefined || !/^(0|[1-9][0-9]*)$/.test(id.slice(at + 1))
      ? null
      : { epoch, seq: Number(id.slice(at + 1)) };
  }

  /** The event that an id stands for. */
  eventAt({ epoch, seq }: Place): Accepted | undefined {
    const event = epoch.find(seq);
    return this.isShared || event?.epoch === epoch ? event : undefined;
  }

  /** Whether the store can still give the event. */
  isKept({ epoch, seq }: Accepted): boolean {
    const current = this.current!;
    return seq >= this.first && seq > current.evicted && current.goesOnWith(epoch, seq);
  }

  /** The first selected event in (after, upTo] that the store still has. */
  firstKept(epoch: Epoch, after: number, upTo: number, selection: Selection): Accepted | undefined {
    for (const event of epoch.between(Math.max(after, this.first - 1), upTo))
      if (selection.has(event.topic) && this.isKept(event)) return event;
    return undefined;
  }
}

/** The first selected event in (after, upTo]. */
export function firstSelected(
  epoch: Epoch,
  after: number,
  upTo: number,
  selection: Selection,
): Accepted | undefined {
  for (const event of epoch.between(after, upTo)) if (selection.has(event.topic)) return event;
  return undefined;
}

/** How many selected events there are in (after, upTo]. */
export function countSelected(epoch: Epoch, after: number, upTo: number, selection: Selection): number {
  let count = 0;
  for (const { topic } of epoch.between(after, upTo)) if (selection.has(topic)) count++;
  return count;
}

/** For messages. */
export function nameOf({ epoch, seq, topic, data, end }: Accepted): string {
  return `${epoch.id(seq)} of ${topic} (${end ? "its end" : JSON.stringify(data.slice(0, 12))})`;
}
