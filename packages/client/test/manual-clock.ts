import type { Clock } from "../src/index.ts";

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  /** Some moment of 2026. */
  time = 1_795_000_000_000;
  #timers: { at: number; task: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(milliseconds: number, task: () => void): () => void {
    const timer = { at: this.time + milliseconds, task };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** How long from now each timer has, the shortest first. */
  get waits(): number[] {
    return this.#timers.map(({ at }) => at - this.time).toSorted((a, b) => a - b);
  }

  /** Moves on, and runs what is due in its order. */
  pass(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.time = next.at;
      next.task();
    }
    this.time = end;
  }
}
