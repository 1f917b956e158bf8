/** Counts animation frames, and the tasks that kept the page from drawing them. */
export class FrameMeter {
  #frames = 0;
  #worst = 0;
  #longTasks = 0;
  #began = 0;
  #last = 0;
  #running = false;
  readonly #observer = supportsLongTasks()
    ? new PerformanceObserver((list) => (this.#longTasks += list.getEntries().length))
    : null;

  start(): void {
    this.#frames = 0;
    this.#worst = 0;
    this.#longTasks = 0;
    this.#began = this.#last = performance.now();
    this.#running = true;
    this.#observer?.observe({ type: "longtask" });
    const frame = () => {
      if (!this.#running) return;
      const now = performance.now();
      this.#frames++;
      this.#worst = Math.max(this.#worst, now - this.#last);
      this.#last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** @returns frames a second, the longest time between two in milliseconds, and tasks of more than 50 ms */
  stop(): { fps: number; worst: number; longTasks: number } {
    this.#running = false;
    this.#observer?.disconnect();
    const seconds = (performance.now() - this.#began) / 1000;
    return { fps: this.#frames / seconds, worst: this.#worst, longTasks: this.#longTasks };
  }
}

function supportsLongTasks(): boolean {
  return PerformanceObserver.supportedEntryTypes.includes("longtask");
}
