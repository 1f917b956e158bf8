import { HubError, type HubErrorCode } from "../errors.ts";
import type { StreamRequest } from "./position.ts";
import type { HubSettings } from "../options.ts";

/** How many streams one address, principal or selector has. */
export interface Quota {
  readonly key: string;
  readonly among: Map<string, Quota>;
  /** This one in a list, which all streams share that are counted for nobody else. */
  readonly alone: readonly Quota[];
  streams: number;
}

export const NOBODY: readonly Quota[] = [];

/**
 * Counts streams by whose they are, and says when one more is too many. What a stream took it gives back when the hub
 * forgets it, which happens to each stream once, however it ends: so nothing else has to be counted, and nothing leaks.
 */
export class Quotas {
  readonly #settings: HubSettings;
  readonly #addresses = new Map<string, Quota>();
  readonly #principals = new Map<string, Quota>();
  readonly #selectors = new Map<string, Quota>();
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
  enter({ address, principal, topics }: StreamRequest): readonly Quota[] {
    this.#streams++;
    const { maxStreamsPerTopic } = this.#settings;
    if (maxStreamsPerTopic === null && (address === undefined || principal === undefined)) {
      if (address !== undefined) return take(this.#addresses, address).alone;
      return principal === undefined ? NOBODY : take(this.#principals, principal).alone;
    }
    const holders: Quota[] = [];
    if (address !== undefined) holders.push(take(this.#addresses, address));
    if (principal !== undefined) holders.push(take(this.#principals, principal));
    if (maxStreamsPerTopic !== null) {
      for (const topic of new Set(topics)) holders.push(take(this.#selectors, topic));
    }
    return holders;
  }

  leave(holders: readonly Quota[]): void {
    this.#streams--;
    for (const holder of holders) {
      if (--holder.streams === 0) holder.among.delete(holder.key);
    }
  }
}

function check(
  holders: ReadonlyMap<string, Quota>,
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

function take(among: Map<string, Quota>, key: string): Quota {
  let holder = among.get(key);
  if (holder === undefined) {
    const alone: Quota[] = [];
    among.set(key, (holder = { key, among, alone, streams: 0 }));
    alone.push(holder);
  }
  holder.streams++;
  return holder;
}
