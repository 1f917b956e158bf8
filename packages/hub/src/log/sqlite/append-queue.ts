import { type Clock, turnStepsOf } from "../../clock.ts";
import { HubError } from "../../errors.ts";
import type { Sliced } from "../time-sliced-queue.ts";

/** Appends that take more than a turn of the event loop, and those that come behind them: one after the other. */
export class AppendQueue {
  readonly #clock: Clock;
  readonly #jobs: Job[] = [];
  /** What the first job does. */
  #work: Sliced<void> | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether something is under way, or waits. */
  get isBusy(): boolean {
    return this.#jobs.length > 0;
  }

  /** Whether an append of so many events takes more than a turn. */
  isLong(events: number): boolean {
    return events > this.#perTurn;
  }

  /** Events, roughly, or as many other steps that take as long. */
  get #perTurn(): number {
    return Math.max(1, Math.floor(turnStepsOf(this.#clock) / STEPS_PER_EVENT));
  }

  /** @param work is given what resolves the promise; what it throws before that rejects it */
  run<T>(work: (answer: (value: T) => void) => Sliced<void>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#jobs.push({ begin: () => work(resolve), reject });
      if (this.#jobs.length === 1) this.#takeTurn();
    });
  }

  #takeTurn(): void {
    this.#clock.defer(() => {
      const end = this.#clock.now() + TURN;
      let left = this.#perTurn;
      while (this.#jobs.length > 0 && left-- > 0 && this.#clock.now() < end) this.#step(this.#jobs[0]!);
      if (this.#jobs.length > 0) this.#takeTurn();
    });
  }

  #step({ begin, reject }: Job): void {
    try {
      this.#work ??= begin();
      if (this.#work.next().done !== true) return;
    } catch (error) {
      reject(error);
    }
    this.#work = null;
    this.#jobs.shift();
  }

  /** What has not been answered is refused, and what is under way is taken back. */
  close(): void {
    this.#work?.return();
    this.#work = null;
    for (const { reject } of this.#jobs.splice(0)) reject(new HubError("closed", "the log is closed"));
  }
}

interface Job {
  readonly begin: () => Sliced<void>;
  readonly reject: (error: unknown) => void;
}

/** How long a turn may take, in milliseconds: the last step to begin may go beyond. */
const TURN = 8;
/** What an event costs, in steps of {@link Clock.turnSteps}. */
const STEPS_PER_EVENT = 400;
