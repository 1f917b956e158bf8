import type { Clock } from "../../clock.ts";

/**
 * The promise, or a rejection when it takes longer.
 *
 * @param milliseconds Infinity: as long as it takes
 * @param late told of an answer that comes after that
 */
export function within<T>(
  clock: Clock,
  milliseconds: number,
  promise: Promise<T>,
  late?: (answer: T) => void,
): Promise<T> {
  if (milliseconds === Infinity) return promise;
  return new Promise((resolve, reject) => {
    let isLate = false;
    const cancel = clock.after(milliseconds, () => {
      isLate = true;
      reject(new Error(`no answer within ${milliseconds} ms`));
    });
    promise.then(
      (answer) => {
        cancel();
        if (isLate) late?.(answer);
        else resolve(answer);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** Waits that all end when something is closed. */
export class Pauses {
  readonly #clock: Clock;
  /** Ends each wait that is under way. */
  readonly #waits = new Set<() => void>();
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wait(milliseconds: number): Promise<void> {
    if (this.#ended) return Promise.resolve();
    // No race with one promise of the end: each race would be kept in it for as long as it is pending.
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#waits.delete(done);
        resolve();
      };
      const cancel = this.#clock.after(milliseconds, done);
      this.#waits.add(done);
    });
  }

  /** Ends every wait, also those that would begin later. */
  end(): void {
    this.#ended = true;
    for (const done of this.#waits) done();
  }
}
