import type { Clock } from "../src/clock.ts";
import type { Line, Owner, Scheduler } from "./scheduler.ts";

/** The clock and the event loop of one simulated process. They stop with it. */
export class SimulatedClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #owner: Owner;
  /** Processes have been up for different times. */
  readonly #offset: number;
  readonly #turns: Line;
  readonly #timers: Line;
  readonly turnSteps: number;
  /** What was asked for and has neither happened nor been cancelled. */
  readonly pending = new Set<{ readonly milliseconds: number }>();

  constructor(scheduler: Scheduler, owner: Owner, offset: number, turnSteps: number) {
    this.#scheduler = scheduler;
    this.#owner = owner;
    this.#offset = offset;
    this.turnSteps = turnSteps;
    this.#turns = scheduler.line();
    this.#timers = scheduler.line();
  }

  now(): number {
    return this.#scheduler.now + this.#offset;
  }

  defer(task: () => void): void {
    const token = { milliseconds: 0 };
    this.pending.add(token);
    this.#turns.post("turn", this.#owner, () => {
      this.pending.delete(token);
      task();
    });
  }

  after(milliseconds: number, task: () => void): () => void {
    const token = { milliseconds };
    this.pending.add(token);
    const cancel = this.#scheduler.after(milliseconds, "timer", this.#owner, this.#timers, () => {
      this.pending.delete(token);
      task();
    });
    return () => {
      this.pending.delete(token);
      cancel();
    };
  }

  every(milliseconds: number, task: () => void): () => void {
    const token = { milliseconds };
    this.pending.add(token);
    let cancel: () => void;
    // As intervals do: what could not happen in time happens once, not for each time that was missed.
    const next = (): void => {
      cancel = this.#scheduler.after(milliseconds, "interval", this.#owner, this.#timers, () => {
        next();
        task();
      });
    };
    next();
    return () => {
      this.pending.delete(token);
      cancel();
    };
  }
}
