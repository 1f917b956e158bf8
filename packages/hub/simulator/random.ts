/** Numbers from a seed, the same ones each time (splitmix32): every choice of a run is one of them. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** Goes on as if it had been made with this seed. */
  reseed(seed: number): void {
    this.#state = seed | 0;
  }

  /** A number in [0, 1). */
  readonly next = (): number => {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };

  /** A whole number from 0 up to, not with, `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** True so often. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** Some of these, one at least, in their order. */
  some<T>(from: readonly T[], most: number = from.length): T[] {
    const chosen = new Set<T>();
    for (let count = 1 + this.below(Math.min(most, from.length)); count > 0; count--)
      chosen.add(this.pick(from));
    return from.filter((each) => chosen.has(each));
  }
}

/** The seed of one part of a run: parts have nothing in common, so that one can be left out without changing the others. */
export function partSeed(seed: number, part: number): number {
  return Math.imul(Math.imul(seed ^ 0x5bd1e995, 0x27d4eb2f) ^ part, 0x165667b1) ^ (seed >>> 13);
}
