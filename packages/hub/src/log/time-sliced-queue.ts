import { type Clock, turnStepsOf } from "../clock.ts";
import type { MaybePromise } from "./event-log.ts";

/** Work that can be left off wherever it yields. Up to its first yield it is done at once. */
export type Sliced<T> = Generator<undefined, T, undefined>;

/** Work on many events or topics, of which each turn of the event loop does some steps: what has begun takes turns. */
export class TimeSlicedQueue {
  readonly #clock: Clock;
  readonly #steps: number;
  /** Steps that this turn has left. While something waits, there are none. */
  #left: number;
  /** Each does a slice of its work, and says whether it is done. */
  readonly #waiting: (() => boolean)[] = [];
  #due = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#steps = this.#left = turnStepsOf(clock);
  }

  /** Steps were done. True when it is time to yield. */
  spend(steps: number): boolean {
    return (this.#left -= steps) <= 0;
  }

  /** @param steps that it takes at most: a few are done at once, and count for nothing */
  run<T>(work: Sliced<MaybePromise<T>>, steps: number): MaybePromise<T> {
    if (steps <= this.#steps / FEW) return this.#atOnce(work);
    this.#takeTurn();
    const slice = work.next();
    if (slice.done === true) return slice.value;
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          const next = work.next();
          if (next.done === true) resolve(next.value);
          return next.done === true;
        } catch (error) {
          reject(error);
          return true;
        }
      });
    });
  }

  #atOnce<T>(work: Sliced<T>): T {
    const left = this.#left;
    for (;;) {
      const slice = work.next();
      if (slice.done !== true) continue;
      this.#left = left;
      return slice.value;
    }
  }

  #takeTurn(): void {
    if (this.#due) return;
    this.#due = true;
    this.#clock.defer(() => {
      this.#due = false;
      this.#left = this.#steps;
      while (this.#waiting.length > 0 && this.#left > 0) {
        const goOn = this.#waiting.shift()!;
        if (!goOn()) this.#waiting.push(goOn);
      }
      if (this.#waiting.length > 0) this.#takeTurn();
    });
  }
}

/** The part of a turn's steps that is not worth a promise: most questions take less. */
const FEW = 128;
