/** Time, as the client sees it. Injected, so that tests need not sleep. */
export interface Clock {
  /** Milliseconds since 1970: what the date of a `Retry-After` is compared with. */
  now(): number;
  /** Runs the task once after so many milliseconds, unless the returned function is called before. */
  after(milliseconds: number, task: () => void): () => void;
}

/** The runtime's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, task) {
    const timer = setTimeout(task, milliseconds);
    return () => clearTimeout(timer);
  },
};
