import { HubError, type HubErrorCode } from "../errors.ts";
import type { StreamRequest } from "./request.ts";

/**
 * Counts streams by whose they are, and refuses one too many. A stream takes its quotas before anything is asked for it, and
 * gives them back when the hub forgets it, which happens to each stream once, however it ends.
 */
export class Quotas {
  readonly #limits: QuotaLimits;
  readonly #addresses: Map<string, Quota>;
  readonly #principals: Map<string, Quota>;
  readonly #selectors = new Map<string, Quota>();
  readonly #all: { streams: number };

  /** @param sibling whose streams are counted together with these; only the same selectors are not the same topics there */
  constructor(limits: QuotaLimits, sibling: Quotas | null = null) {
    this.#limits = limits;
    this.#addresses = sibling === null ? new Map() : sibling.#addresses;
    this.#principals = sibling === null ? new Map() : sibling.#principals;
    this.#all = sibling === null ? { streams: 0 } : sibling.#all;
  }

  get addresses(): number {
    return this.#addresses.size;
  }

  get principals(): number {
    return this.#principals.size;
  }

  /**
   * @returns what {@link release} wants back
   * @throws HubError `too-many-streams` or one of its kind when there is no room for this one
   */
  acquire(request: StreamRequest): readonly Quota[] {
    this.#require(request);
    this.#all.streams++;
    const { address, principal, topics } = request;
    const { maxStreamsPerTopic } = this.#limits;
    if (maxStreamsPerTopic === null && (address === undefined || principal === undefined)) {
      if (address !== undefined) return take(this.#addresses, address).alone;
      return principal === undefined ? NOBODY : take(this.#principals, principal).alone;
    }
    const quotas: Quota[] = [];
    if (address !== undefined) quotas.push(take(this.#addresses, address));
    if (principal !== undefined) quotas.push(take(this.#principals, principal));
    if (maxStreamsPerTopic !== null) {
      for (const topic of new Set(topics)) quotas.push(take(this.#selectors, topic));
    }
    return quotas;
  }

  #require({ address, principal, topics }: StreamRequest): void {
    const { maxStreams, maxStreamsPerAddress, maxStreamsPerPrincipal, maxStreamsPerTopic } = this.#limits;
    if (this.#all.streams >= (maxStreams ?? Infinity)) {
      throw new HubError("too-many-streams", `the server has ${maxStreams} streams; it takes no more`);
    }
    check(this.#addresses, address, maxStreamsPerAddress, "too-many-streams-of-address", "your address");
    check(this.#principals, principal, maxStreamsPerPrincipal, "too-many-streams-of-principal", "your token");
    if (maxStreamsPerTopic === null) return;
    for (const topic of topics) {
      check(this.#selectors, topic, maxStreamsPerTopic, "too-many-streams-of-topic", "one of the topics");
    }
  }

  release(quotas: readonly Quota[]): void {
    this.#all.streams--;
    for (const quota of quotas) {
      if (--quota.streams === 0) quota.among.delete(quota.key);
    }
  }
}

/** The most streams, of all and of each; null: any number. */
export interface QuotaLimits {
  readonly maxStreams: number | null;
  readonly maxStreamsPerAddress: number | null;
  readonly maxStreamsPerPrincipal: number | null;
  readonly maxStreamsPerTopic: number | null;
}

/** How many streams one address, principal or selector has. */
export interface Quota {
  readonly key: string;
  readonly among: Map<string, Quota>;
  /** This one in a list, which all streams share that are counted for nobody else. */
  readonly alone: readonly Quota[];
  streams: number;
}

function check(
  quotas: ReadonlyMap<string, Quota>,
  key: string | undefined,
  limit: number | null,
  code: HubErrorCode,
  whose: string,
): void {
  if (limit === null || key === undefined || (quotas.get(key)?.streams ?? 0) < limit) return;
  throw new HubError(
    code,
    `${whose} has ${limit} streams open, which is the limit; close some, or come back later`,
  );
}

function take(among: Map<string, Quota>, key: string): Quota {
  let quota = among.get(key);
  if (quota === undefined) {
    const alone: Quota[] = [];
    among.set(key, (quota = { key, among, alone, streams: 0 }));
    alone.push(quota);
  }
  quota.streams++;
  return quota;
}

const NOBODY: readonly Quota[] = [];
