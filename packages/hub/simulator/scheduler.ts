import type { Random } from "./random.ts";

/** Whose task it is. What a crashed process or a client that has left still had to do does not happen any more. */
export interface Owner {
  readonly name: string;
  isGone: boolean;
}

interface Task {
  readonly kind: string;
  readonly owner: Owner;
  readonly run: () => void;
}

interface Timer extends Task {
  readonly due: number;
  /** What else is due to its owner happens in the order of time. */
  readonly line: Line;
  isCancelled: boolean;
}

/** Tasks that happen one after the other, each when the scheduler picks the line. */
export class Line {
  readonly #scheduler: Scheduler;
  readonly tasks: Task[] = [];

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  post(kind: string, owner: Owner, run: () => void): void {
    this.tasks.push({ kind, owner, run });
    if (this.tasks.length === 1) this.#scheduler.ready.push(this);
  }
}

/**
 * Everything that happens later: turns of event loops, timers, bytes on their way, answers of disks and brokers. Nothing of
 * it happens by itself. Which comes next is picked by chance, and time passes when it is told to: a timer can be as late, and
 * an answer as slow, as the run will have it.
 */
export class Scheduler {
  /** Milliseconds since the run began. */
  now = 0;
  readonly ready: Line[] = [];
  #timers: Timer[] = [];

  line(): Line {
    return new Line(this);
  }

  /** Something that depends on nothing else. */
  post(kind: string, owner: Owner, run: () => void): void {
    new Line(this).post(kind, owner, run);
  }

  /** Once, when the time has come, or later. @returns cancels it */
  after(milliseconds: number, kind: string, owner: Owner, line: Line, run: () => void): () => void {
    const timer: Timer = { due: this.now + milliseconds, kind, owner, line, run, isCancelled: false };
    if (milliseconds <= 0) this.#release(timer);
    else this.#timers.push(timer);
    return () => {
      timer.isCancelled = true;
    };
  }

  #release(timer: Timer): void {
    timer.line.post(timer.kind, timer.owner, () => {
      if (!timer.isCancelled) timer.run();
    });
  }

  /** Runs one of the tasks that can happen now. @returns which; null: there was none */
  runOne(random: Random): { kind: string; owner: string } | null {
    const { ready } = this;
    while (ready.length > 0) {
      const at = random.below(ready.length);
      const line = ready[at]!;
      const task = line.tasks.shift()!;
      if (line.tasks.length === 0) {
        const last = ready.pop()!;
        if (last !== line) ready[at] = last;
      }
      if (task.owner.isGone) continue;
      task.run();
      return { kind: task.kind, owner: task.owner.name };
    }
    return null;
  }

  /** When the next timer is due; Infinity: none is set. */
  get nextDue(): number {
    let due = Infinity;
    for (const timer of this.#timers) if (!timer.isCancelled && timer.due < due) ({ due } = timer);
    return due;
  }

  /** Time passes. What is due by then can happen from now on. */
  advance(to: number): void {
    if (to <= this.now) return;
    this.now = to;
    const due: Timer[] = [];
    this.#timers = this.#timers.filter((timer) => {
      if (timer.isCancelled || timer.owner.isGone) return false;
      if (timer.due > to) return true;
      due.push(timer);
      return false;
    });
    due.sort((a, b) => a.due - b.due);
    for (const timer of due) this.#release(timer);
  }
}
