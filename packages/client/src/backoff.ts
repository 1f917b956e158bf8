/** What decides how long the client waits before it comes back. Times in milliseconds. */
export interface Backoff {
  /** The reconnection time: the server's `retry:`, or the option. The wait is never shorter. */
  readonly base: number;
  /** Attempts in a row that brought nothing. Each one doubles the wait. */
  readonly failures: number;
  /** What doubling stops at. A `base` or `retryAfter` above it wins. */
  readonly cap: number;
  /** How much is added by chance, as a part of the wait. */
  readonly jitter: number;
  /** What the server asked for with `Retry-After`; 0 if it did not. The wait is never shorter. */
  readonly retryAfter: number;
  /** In [0, 1). */
  readonly random: number;
}

/**
 * The wait before the next attempt. The standard lets a client wait longer than the reconnection time (WHATWG HTML 9.2.3),
 * not shorter: so chance only adds, and clients that dropped together do not come back together.
 */
export function waitOf({ base, failures, cap, jitter, retryAfter, random }: Backoff): number {
  const grown = Math.max(base, Math.min(cap, base * 2 ** failures), retryAfter);
  return Math.min(LONGEST_TIMER, grown * (1 + jitter * random));
}

/**
 * `Retry-After` in milliseconds, of seconds or of a date (RFC 9110, 10.2.3); 0 for none, for the past, and for
 * nonsense.
 */
export function retryAfterOf(headers: Headers, now: number): number {
  const value = headers.get("retry-after") ?? "";
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return wait > 0 ? wait : 0;
}

/** What a timer can wait at most: above it, setTimeout fires at once. 24.8 days. */
const LONGEST_TIMER = 2 ** 31 - 1;
