import type { HubObserver } from "@sse/hub";

/** The longest of each kind in a hub, in milliseconds; null where nothing was done. */
export interface Maxima {
  /** From a publish until the log had it. */
  readonly commit: number | null;
  /** From there until the last stream was written to. */
  readonly fanOut: number | null;
}

/** Keeps the maximum of the durations that it passes on to another observer. */
export class MaximumDurations implements HubObserver {
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

  /** The maxima since they were last taken. */
  take(): Maxima {
    const maxima = { commit: this.#commit, fanOut: this.#fanOut };
    this.#commit = null;
    this.#fanOut = null;
    return maxima;
  }
}
