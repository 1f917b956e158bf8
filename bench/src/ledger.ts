/** What the streams were given, against what they should have been. */
export interface Tally {
  /** Deliveries, duplicates included. */
  received: number;
  lost: number;
  duplicated: number;
  /** Came after a later event of the same channel. */
  outOfOrder: number;
  /** Of another topic than the stream's, or of no publisher at all. */
  foreign: number;
  /** A payload that was not whole, or events of a decoded stream that were not what was sent. */
  corrupt: number;
  /** Ids in decoded streams that did not ascend. */
  idsOutOfOrder: number;
}

export function emptyTally(): Tally {
  return {
    received: 0,
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
    foreign: 0,
    corrupt: 0,
    idsOutOfOrder: 0,
  };
}

export function addTally(sum: Tally, more: Tally): void {
  for (const key of Object.keys(sum) as (keyof Tally)[]) sum[key] += more[key];
}

/** The faults of a run in words, or "" when there are none. */
export function faultsOf(tally: Tally): string {
  const { lost, duplicated, outOfOrder, foreign, corrupt, idsOutOfOrder } = tally;
  return [
    [lost, "lost"],
    [duplicated, "duplicated"],
    [outOfOrder, "out of order"],
    [foreign, "that the stream should not have been given"],
    [corrupt, "corrupt"],
    [idsOutOfOrder, "with an id that does not ascend"],
  ]
    .filter(([count]) => count !== 0)
    .map(([count, what]) => `${Number(count).toLocaleString("en")} ${what}`)
    .join(", ");
}

/** What was published, as the ledgers are closed with: how many of each channel, and those that were refused. */
export interface Published {
  /** By channel: numbers from 0 up to, not including, this. */
  readonly counts: Uint32Array;
  /** Events whose request failed: they may have been published or not. As {@link eventKey}. */
  readonly excused: ReadonlySet<number>;
}

/** A number so far ahead is not one of ours, and what lies before it not lost: to remember it all would take the memory of the machine. */
const MAX_SKIPPED = 1_000_000;
const NUMBERS = 2 ** 32;
export function eventKey(channel: number, number: number): number {
  return channel * NUMBERS + number;
}

/**
 * Counts the deliveries of one stream. Numbers of a channel are published in order, so the next one is known, and only the
 * numbers that were skipped have to be remembered.
 */
export class Ledger {
  received = 0;
  duplicated = 0;
  outOfOrder = 0;
  foreign = 0;
  readonly #first: number;
  readonly #next: Uint32Array;
  /** What was skipped, as {@link eventKey}; most streams never need it. */
  #holes: Set<number> | null = null;

  /** @param first the first of the channels that the stream should be given */
  constructor(first: number, channels: number) {
    this.#first = first;
    this.#next = new Uint32Array(channels);
  }

  /** Different events of the stream's own channels. */
  get distinct(): number {
    return this.received - this.duplicated - this.foreign;
  }

  record(channel: number, number: number): void {
    this.received++;
    const index = channel - this.#first;
    const next = this.#next[index];
    if (next === undefined || number > next + MAX_SKIPPED) this.foreign++;
    else if (number === next) this.#next[index] = number + 1;
    else if (number > next) this.#skip(channel, next, number);
    else if (this.#holes?.delete(eventKey(channel, number)) === true) this.outOfOrder++;
    else this.duplicated++;
  }

  #skip(channel: number, from: number, to: number): void {
    this.#holes ??= new Set();
    for (let number = from; number < to; number++) this.#holes.add(eventKey(channel, number));
    this.#next[channel - this.#first] = to + 1;
  }

  /** How many different events have to come before it can be complete. */
  expected({ counts, excused }: Published): number {
    let sum = 0;
    for (let index = 0; index < this.#next.length; index++) sum += counts[this.#first + index] ?? 0;
    for (const key of excused) if (this.#owns(key)) sum--;
    return sum;
  }

  /** How many events were published and never came. */
  lost({ counts, excused }: Published): number {
    let lost = 0;
    for (const key of this.#holes ?? []) if (!excused.has(key)) lost++;
    for (let index = 0; index < this.#next.length; index++) {
      const channel = this.#first + index;
      const count = counts[channel] ?? 0;
      const next = this.#next[index]!;
      if (excused.size === 0) lost += Math.max(0, count - next);
      else
        for (let number = next; number < count; number++) if (!excused.has(eventKey(channel, number))) lost++;
    }
    return lost;
  }

  #owns(key: number): boolean {
    const channel = Math.floor(key / NUMBERS);
    return channel >= this.#first && channel < this.#first + this.#next.length;
  }
}
