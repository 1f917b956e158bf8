import type { HubObserver } from "@sse/hub";

/** What took longest in a hub, in milliseconds; null where nothing was done. */
export interface SlowestTimes {
  /** From a publish until the log had it. */
  readonly commit: number | null;
  /** From there until the last stream was written to. */
  readonly fanOut: number | null;
}

/** Remembers what took longest, of what it hands on to another observer. */
export class Slowest implements HubObserver {
  readonly #next: HubObserver;
  #commit: number | null = null;
  #fanOut: number | null = null;

  constructor(next: HubObserver) {
    this.#next = next;
  }

  committed(duration: number): void {
    this.#commit = Math.max(this.#commit ?? 0, duration);
    this.#next.committed(duration);
  }

  fannedOut(duration: number): void {
    this.#fanOut = Math.max(this.#fanOut ?? 0, duration);
    this.#next.fannedOut(duration);
  }

  /** Since it was last asked. */
  take(): SlowestTimes {
    const times = { commit: this.#commit, fanOut: this.#fanOut };
    this.#commit = null;
    this.#fanOut = null;
    return times;
  }
}
