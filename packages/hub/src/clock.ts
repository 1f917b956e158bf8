/** Time, as the hub sees it. Injected, so that tests need not sleep. */
export interface Clock {
  /** Monotonic milliseconds: a wall clock that is set back must not stop heartbeats or revive old events. */
  now(): number;
  /** Runs the task once, after the current turn of the event loop and after the I/O that is ready by then. */
  defer(task: () => void): void;
  /**
   * How many steps of what is long are done in one turn of the event loop before everything else has its turn; default 400,000,
   * some milliseconds. A step is a comparison or so.
   */
  readonly turnSteps?: number;
  /** Runs the task once, after so many milliseconds, unless the returned function is called before. */
  after(milliseconds: number, task: () => void): () => void;
  /** Runs the task every so many milliseconds until the returned function is called. Does not keep a process alive. */
  every(milliseconds: number, task: () => void): () => void;
}

/** See {@link Clock.turnSteps}. */
export function turnStepsOf({ turnSteps = 400_000 }: Pick<Clock, "turnSteps">): number {
  return turnSteps;
}

/** The process's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  defer: (task) => {
    setImmediate(task);
  },
  after: (milliseconds, task) => {
    const timer = setTimeout(task, milliseconds);
    return () => clearTimeout(timer);
  },
  every: (milliseconds, task) => {
    const timer = setInterval(task, milliseconds);
    timer.unref();
    return () => clearInterval(timer);
  },
};
