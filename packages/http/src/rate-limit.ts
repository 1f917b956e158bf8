/** How much may be taken at once after a rest: what the rate allows in this time, in milliseconds. */
const BURST = 1000;
/** Clients that are looked at, at each that takes: whether they owe nothing any more, and can be forgotten. */
const LOOKS = 2;

/**
 * A rate for each client, counted in events (the generic cell rate algorithm: one number for each, and no timer). Who has
 * taken more than the rate allows owes the time that it takes; nobody who owes more than a second's worth gets more. So an
 * array of any size is taken whole, and is paid for afterwards.
 *
 * It remembers those who still owe something, and, until it comes round to them, as many again who do not.
 */
export class RateLimiter {
  /** Events. */
  readonly perSecond: number;
  readonly #cost: number;
  readonly #now: () => number;
  /** When each will owe nothing. */
  readonly #clients = new Map<string, number>();
  /**
   * Goes round them. One that began anew each time would walk over all who were forgotten since the map was last tidied:
   * with a hundred thousand clients, for a hundred microseconds.
   */
  #round = this.#clients.entries();

  /**
   * @param perSecond events
   * @param now milliseconds, monotonic; default `performance.now`
   */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.perSecond = perSecond;
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
      this.#clients.set(client, free + count * this.#cost);
    }
    return 0;
  }

  /** Gives back what was taken for nothing. */
  giveBack(client: string, count: number): void {
    const free = this.#clients.get(client);
    // Who is forgotten owes nothing any more.
    if (free !== undefined) this.#clients.set(client, free - count * this.#cost);
  }

  #forget(now: number): void {
    for (let look = 0; look < LOOKS; look++) {
      const { value, done } = this.#round.next();
      if (done) {
        this.#round = this.#clients.entries();
        return;
      }
      if (value[1] <= now) this.#clients.delete(value[0]);
    }
  }
}
