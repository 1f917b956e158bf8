import type { StoredEvent } from "./stored-event.ts";

/** How much a log keeps. What is over a bound is evicted, oldest first; `null` lifts a bound. */
export interface Retention {
  /** Events. */
  maxEvents?: number | null | undefined;
  /** Bytes: events as they go over the wire, their names, and {@link ENTRY_BYTES} for each. */
  maxBytes?: number | null | undefined;
  /** Milliseconds. */
  maxAge?: number | null | undefined;
}

/** A {@link Retention} that is complete; Infinity for no bound. */
export type Limits = { readonly [Name in keyof Retention]-?: number };

/**
 * For how many topics, and for how many milliseconds, a log knows that they have ended after it has evicted the event that
 * ended them: a client that comes back later than that waits on a topic that looks new.
 */
export const ENDS = Object.freeze({ topics: 16_384, age: 7 * 24 * 3_600_000 });

/** What an event costs beyond its encoded bytes, roughly: its objects in memory, and its places in the indexes. */
export const ENTRY_BYTES = 256;

/** What an event counts for `maxBytes`. */
export function sizeOf({ bytes, topic, key, idempotencyKey }: StoredEvent): number {
  return bytes + topic.length + key.length + idempotencyKey.length + ENTRY_BYTES;
}

/** @throws RangeError when a bound is not a positive number */
export function limitsOf(given: Retention, defaults: Required<Retention>): Limits {
  const limit = (name: keyof Retention): number => {
    const value = given[name] === undefined ? defaults[name] : given[name];
    if (value === null) return Infinity;
    if (typeof value === "number" && value > 0) return value;
    throw new RangeError(`${name} must be a positive number or null, not ${String(value)}`);
  };
  return { maxEvents: limit("maxEvents"), maxBytes: limit("maxBytes"), maxAge: limit("maxAge") };
}
