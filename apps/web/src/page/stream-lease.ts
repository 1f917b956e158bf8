const NAME = "sse-one-more-stream";

/**
 * A browser allows HTTP/1.1 six connections to a host, over all its tabs. The page's feeds and a job take four, requests
 * need one: so there is one more stream to be had, which tabs take in turn. HTTP/2 has no such bound.
 */
export class StreamLease {
  #release: (() => void) | null = null;
  readonly #onLost: () => void;

  /** @param onLost another tab has taken it over */
  constructor(onLost: () => void) {
    this.#onLost = onLost;
  }

  /** @param steal takes it from the tab that has it. @returns whether a stream may be opened now */
  async take(steal = false): Promise<boolean> {
    if (this.#release !== null || isMultiplexed() || navigator.locks === undefined) return true;
    const answer = Promise.withResolvers<boolean>();
    const held = Promise.withResolvers<void>();
    const hold = (lock: Lock | null) => {
      if (lock === null) {
        answer.resolve(false);
        return undefined;
      }
      this.#release = held.resolve;
      answer.resolve(true);
      return held.promise;
    };
    navigator.locks.request(NAME, steal ? { steal } : { ifAvailable: true }, hold).catch(() => {
      if (this.#release !== held.resolve) return;
      this.#release = null;
      this.#onLost();
    });
    return answer.promise;
  }

  give(): void {
    this.#release?.();
    this.#release = null;
  }
}

/** Whether this page came over HTTP/2 or later, where streams share one connection. */
export function isMultiplexed(): boolean {
  const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return /^h[23]/.test(navigation?.nextHopProtocol ?? "");
}
