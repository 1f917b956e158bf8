import type { Clock } from "../../clock.ts";
import { HubError } from "../../errors.ts";

/** Lets short synchronous jobs take turns with everything else that the process does, first come first served. */
export class ReadQueue {
  readonly #clock: Clock;
  readonly #isPassing: (error: unknown) => boolean;
  #jobs: Job[] = [];
  #next = 0;
  #due = false;
  #isHeld = false;
  #closed = false;

  /** @param isPassing whether a job that failed so is to be tried again */
  constructor(clock: Clock, isPassing: (error: unknown) => boolean) {
    this.#clock = clock;
    this.#isPassing = isPassing;
  }

  run<T>(job: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new HubError("closed", "the log is closed"));
        return;
      }
      this.#jobs.push({ run: () => resolve(job()), reject });
      this.#takeTurn();
    });
  }

  /** Runs what has not been run, if anything; needed only after a job failed for a passing reason. */
  retry(): void {
    if (this.#next < this.#jobs.length) this.#takeTurn();
  }

  /** Runs nothing more until {@link release}: what is in the file is not to be seen. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.retry();
  }

  #takeTurn(): void {
    if (this.#due || this.#isHeld) return;
    this.#due = true;
    this.#clock.defer(() => {
      this.#due = false;
      if (this.#isHeld) return;
      const end = this.#clock.now() + TURN;
      while (this.#next < this.#jobs.length && this.#clock.now() < end) {
        const { run, reject } = this.#jobs[this.#next++]!;
        try {
          run();
        } catch (error) {
          if (this.#isPassing(error)) {
            this.#next--;
            return;
          }
          reject(error);
        }
      }
      if (this.#next === this.#jobs.length) {
        this.#jobs = [];
        this.#next = 0;
      } else this.#takeTurn();
    });
  }

  /** What has not been run is refused. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#jobs.splice(0)) reject(new HubError("closed", "the log is closed"));
    this.#next = 0;
  }
}

/** How long the jobs of one turn of the event loop may take, in milliseconds: the last one to begin may go beyond. */
const TURN = 4;

interface Job {
  readonly run: () => void;
  readonly reject: (error: unknown) => void;
}
