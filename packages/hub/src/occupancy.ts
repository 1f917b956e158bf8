import { HubError, type HubErrorCode } from "./errors.ts";
import type { StreamRequest } from "./locate.ts";
import type { HubSettings } from "./options.ts";

/** How many streams one address, principal or selector has. */
export interface Holder {
  readonly key: string;
  readonly among: Map<string, Holder>;
  /** This one in a list, which all streams share that are counted for nobody else. */
  readonly alone: readonly Holder[];
  streams: number;
}

export const NOBODY: readonly Holder[] = [];

/**
 * Counts streams by whose they are, and says when one more is too many. What a stream took it gives back when the hub
 * forgets it, which happens to each stream once, however it ends: so nothing else has to be counted, and nothing leaks.
 */
export class Occupancy {
  readonly #settings: HubSettings;
  readonly #addresses = new Map<string, Holder>();
  readonly #principals = new Map<string, Holder>();
  readonly #selectors = new Map<string, Holder>();
  #streams = 0;

  constructor(settings: HubSettings) {
    this.#settings = settings;
  }

  get addresses(): number {
    return this.#addresses.size;
  }

  get principals(): number {
    return this.#principals.size;
  }

  /** @throws HubError `too-many-streams` or one of its kind when there is no room for this one */
  require({ address, principal, topics }: StreamRequest): void {
    const { maxStreams, maxStreamsPerAddress, maxStreamsPerPrincipal, maxStreamsPerTopic } = this.#settings;
    if (this.#streams >= (maxStreams ?? Infinity)) {
      throw new HubError("too-many-streams", `the server has ${maxStreams} streams; it takes no more`);
    }
    check(this.#addresses, address, maxStreamsPerAddress, "too-many-streams-of-address", "your address");
    check(this.#principals, principal, maxStreamsPerPrincipal, "too-many-streams-of-principal", "your token");
    if (maxStreamsPerTopic === null) return;
    for (const topic of topics) {
      check(this.#selectors, topic, maxStreamsPerTopic, "too-many-streams-of-topic", "one of the topics");
    }
  }

  /** @returns what {@link leave} wants back */
  enter({ address, principal, topics }: StreamRequest): readonly Holder[] {
    this.#streams++;
    const { maxStreamsPerTopic } = this.#settings;
    if (maxStreamsPerTopic === null && (address === undefined || principal === undefined)) {
      if (address !== undefined) return take(this.#addresses, address).alone;
      return principal === undefined ? NOBODY : take(this.#principals, principal).alone;
    }
    const holders: Holder[] = [];
    if (address !== undefined) holders.push(take(this.#addresses, address));
    if (principal !== undefined) holders.push(take(this.#principals, principal));
    if (maxStreamsPerTopic !== null) {
      for (const topic of new Set(topics)) holders.push(take(this.#selectors, topic));
    }
    return holders;
  }

  leave(holders: readonly Holder[]): void {
    this.#streams--;
    for (const holder of holders) {
      if (--holder.streams === 0) holder.among.delete(holder.key);
    }
  }
}

function check(
  holders: ReadonlyMap<string, Holder>,
  key: string | undefined,
  limit: number | null,
  code: HubErrorCode,
  whose: string,
): void {
  if (limit === null || key === undefined || (holders.get(key)?.streams ?? 0) < limit) return;
  throw new HubError(
    code,
    `${whose} has ${limit} streams open, which is the limit; close some, or come back later`,
  );
}

function take(among: Map<string, Holder>, key: string): Holder {
  let holder = among.get(key);
  if (holder === undefined) {
    const alone: Holder[] = [];
    among.set(key, (holder = { key, among, alone, streams: 0 }));
    alone.push(holder);
  }
  holder.streams++;
  return holder;
}
