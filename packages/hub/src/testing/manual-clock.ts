import { type Clock, turnStepsOf } from "../clock.ts";

/** Time that passes when told to, and an event loop that turns when told to. */
export class ManualClock implements Clock {
  /** See {@link Clock.turnSteps}. */
  readonly turnSteps: number;
  #now = 0;
  #deferred: (() => void)[] = [];
  readonly #timers = new Set<{ due: number; task: () => void; period: number | null }>();

  constructor(options: Pick<Clock, "turnSteps"> = {}) {
    this.turnSteps = turnStepsOf(options);
  }

  now(): number {
    return this.#now;
  }

  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  every(period: number, task: () => void): () => void {
    const timer = { period, due: this.#now + period, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  after(delay: number, task: () => void): () => void {
    const timer = { period: null, due: this.#now + delay, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** One turn of the event loop. False when nothing was to be done. */
  turn(): boolean {
    const tasks = this.#deferred;
    this.#deferred = [];
    for (const task of tasks) task();
    return tasks.length > 0;
  }

  /** Turns, and lets promises settle, until nothing is left to do. */
  async settle(): Promise<void> {
    let idle = 0;
    while (idle < 3) {
      idle = this.turn() ? 0 : idle + 1;
      for (let i = 0; i < 8; i++) await Promise.resolve();
    }
  }

  /** Lets so much time pass: each timer runs when it is due, and what follows from it before the next. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (;;) {
      const next = Math.min(end, ...[...this.#timers].map(({ due }) => due));
      this.#now = next;
      for (const timer of this.#timers) {
        if (timer.due > next) continue;
        if (timer.period === null) this.#timers.delete(timer);
        else timer.due += timer.period;
        timer.task();
      }
      await this.settle();
      if (next >= end) return;
    }
  }
}
