/** How much may be taken at once after a rest: what the rate allows in this time, in milliseconds. */
const BURST = 1000;
/** Clients that are looked at, at each that takes: whether they have rested, and can be forgotten. */
const LOOKS = 2;

/**
 * A rate for each client, counted in events (the generic cell rate algorithm: one number for each, and no timer). Who has
 * taken more than the rate allows owes the time that it takes; nobody who owes more than a second's worth gets more. So an
 * array of any size is taken whole, and is paid for afterwards.
 *
 * It remembers those only who still owe something.
 */
export class RateLimiter {
  readonly #cost: number;
  readonly #now: () => number;
  /** When each will owe nothing. */
  readonly #clients = new Map<string, number>();

  /**
   * @param perSecond events
   * @param now milliseconds, monotonic; default `performance.now`
   */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.#cost = 1000 / perSecond;
    this.#now = now;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /**
   * Takes so many, if the client may; 0 only asks.
   *
   * @returns milliseconds until the client may; 0 when it was allowed to
   */
  take(client: string, count: number): number {
    const now = this.#now();
    const free = Math.max(now, this.#clients.get(client) ?? 0);
    if (free - now > BURST) return free - now - BURST;
    if (count > 0) {
      this.#forget(now);
      this.#clients.delete(client);
      this.#clients.set(client, free + count * this.#cost);
    }
    return 0;
  }

  /** Those who have not taken for longest stand first. One who still owes goes to the end, to be looked at later. */
  #forget(now: number): void {
    for (let look = 0; look < LOOKS; look++) {
      const first = this.#clients.entries().next().value;
      if (first === undefined) return;
      this.#clients.delete(first[0]);
      if (first[1] > now) this.#clients.set(...first);
    }
  }
}
