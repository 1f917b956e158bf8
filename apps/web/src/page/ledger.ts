/** What a reader was promised about numbered events, and whether it was kept. */
export interface Account {
  readonly received: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  /** Numbers that never came and stand in no gap. */
  readonly missing: number;
  /** Numbers that never came, where the stream said that some would not. */
  readonly skipped: number;
  readonly gaps: readonly string[];
  readonly replayed: number;
  readonly resumes: number;
}

/**
 * Keeps account of events that are numbered from 1 on. A number may be missing only where the stream told of a gap before
 * anything newer: that is the hub's fourth invariant, and it is checked here from the outside.
 */
export class Ledger {
  readonly #seen = new Set<number>();
  readonly #gaps: string[] = [];
  #skipped = 0;
  #missing = 0;
  #duplicates = 0;
  #outOfOrder = 0;
  #replayed = 0;
  #resumes = 0;
  #highest = 0;
  #gapOpen = false;

  /** The newest number that has come. */
  get highest(): number {
    return this.#highest;
  }

  event(number: number): void {
    if (this.#seen.has(number)) {
      this.#duplicates++;
      return;
    }
    this.#seen.add(number);
    if (number < this.#highest) {
      this.#outOfOrder++;
      this.#missing--;
      return;
    }
    const hole = number - this.#highest - 1;
    if (this.#gapOpen) this.#skipped += hole;
    else this.#missing += hole;
    this.#gapOpen = false;
    this.#highest = number;
  }

  /** The data of `sse:ready`. */
  ready(resume: string, replayed: number): void {
    if (resume === "fresh") return;
    this.#resumes++;
    this.#replayed += replayed;
  }

  /** The data of `sse:gap`. */
  gap(reason: string, from: string | null, to: string): void {
    this.#gapOpen = true;
    this.#gaps.push(`${reason}: ${from ?? "start"} – ${to}`);
  }

  /** @param published how many there are to be accounted for */
  account(published: number): Account {
    const rest = Math.max(0, published - this.#highest);
    return {
      received: this.#seen.size,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      missing: this.#missing + (this.#gapOpen ? 0 : rest),
      skipped: this.#skipped + (this.#gapOpen ? rest : 0),
      gaps: this.#gaps,
      replayed: this.#replayed,
      resumes: this.#resumes,
    };
  }
}
