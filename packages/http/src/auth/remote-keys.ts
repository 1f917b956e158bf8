import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type JWTVerifyGetKey,
} from "jose";
import { type JwtKey, KEY_SET_ALGORITHMS, KeysUnavailable } from "./jwt-key.ts";

/** What is told of the keys of a URL. */
export interface RemoteKeyOptions {
  /** Told of each fetch that has ended, and why it failed, if it did; default: nobody is. */
  onFetch?: ((failure: Error | null) => void) | undefined;
  /** How long a fetch may take, in milliseconds; default 5,000. */
  timeout?: number | undefined;
  /** Milliseconds, monotonic; default `performance.now`. */
  now?: (() => number) | undefined;
}

/** How long keys are used before they are asked for again, in ms: so long a withdrawn one counts. */
const FRESH = 600_000;
/** How long they are used if they cannot be had again: whoever cuts us off must not keep a withdrawn key good for ever. */
const USABLE = 86_400_000;
/** The least time between two fetches, the second for a key that is not known. */
const COOLDOWN = 30_000;
/** After a failure, doubled with each that follows, up to the longest. */
const FIRST_WAIT = 5000;
const LONGEST_WAIT = 60_000;
const TIMEOUT = 5000;
/** A set of a hundred RSA keys with their certificates. */
const MAX_BYTES = 512 * 1024;

/**
 * The keys at the URL of a JWK set: fetched when first needed, asked for again after ten minutes, or when a token names a
 * key that is not there. One fetch at a time, and after each a pause, also when it failed; meanwhile the last set counts,
 * for a day. Redirects are not followed.
 *
 * @throws TypeError when the URL is not https, unless it is of this machine
 */
export function remoteKeys(url: string, options: RemoteKeyOptions = {}): JwtKey {
  const at = URL.canParse(url) ? new URL(url) : null;
  const isLocal = at !== null && /^(localhost|127\.[0-9.]+|\[::1\])$/.test(at.hostname);
  if (at === null || !(at.protocol === "https:" || (at.protocol === "http:" && isLocal))) {
    throw new TypeError("must be an https URL: who can change the keys on their way can make tokens");
  }
  const keys = new RemoteKeys(at, options);
  return { algorithms: KEY_SET_ALGORITHMS, find: keys.find };
}

class RemoteKeys {
  /** Fetches when it is told to. What jose would do by itself has no pause after a failure, and forgets the last set. */
  readonly #set: ReturnType<typeof createRemoteJWKSet>;
  readonly #onFetch: (failure: Error | null) => void;
  readonly #now: () => number;
  #fetched = -Infinity;
  #nextFetch = -Infinity;
  #failures = 0;
  #fetching: Promise<boolean> | null = null;

  constructor(
    url: URL,
    { onFetch = () => {}, timeout = TIMEOUT, now = () => performance.now() }: RemoteKeyOptions,
  ) {
    this.#set = createRemoteJWKSet(url, {
      cacheMaxAge: Infinity,
      cooldownDuration: Infinity,
      timeoutDuration: timeout,
      [customFetch]: fetchBounded,
    });
    this.#onFetch = onFetch;
    this.#now = now;
  }

  readonly find: JWTVerifyGetKey = async (header, token) => {
    if (this.#now() - this.#fetched >= FRESH) await this.#refresh();
    if (this.#now() - this.#fetched >= USABLE) throw unavailable();
    try {
      return await this.#set(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) {
        if (await this.#refresh()) return await this.#set(header, token);
        if (this.#failures > 0) throw unavailable(error); // it may be among those that we could not fetch
        throw error;
      }
      const isOfToken =
        error instanceof errors.JWKSMultipleMatchingKeys || error instanceof errors.JOSENotSupported;
      throw isOfToken ? error : unavailable(error);
    }
  };

  /** @returns whether they have been fetched anew; not when it is too early for that */
  async #refresh(): Promise<boolean> {
    if (this.#fetching !== null) return await this.#fetching;
    if (this.#now() < this.#nextFetch) return false;
    this.#fetching = this.#fetch();
    try {
      return await this.#fetching;
    } finally {
      this.#fetching = null;
    }
  }

  async #fetch(): Promise<boolean> {
    try {
      await this.#set.reload();
    } catch (error) {
      const wait = Math.min(FIRST_WAIT * 2 ** this.#failures++, LONGEST_WAIT);
      this.#nextFetch = this.#now() + wait;
      this.#onFetch(error as Error);
      return false;
    }
    this.#failures = 0;
    this.#fetched = this.#now();
    this.#nextFetch = this.#fetched + COOLDOWN;
    this.#onFetch(null);
    return true;
  }
}

function unavailable(cause?: unknown): KeysUnavailable {
  return new KeysUnavailable("the keys that tokens are checked with cannot be had", { cause });
}

/** jose reads a body of any length. */
const fetchBounded: FetchImplementation = async (url, options) => {
  const response = await fetch(url, options);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BYTES) throw new Error(`the JWK set is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return new Response(new Blob(chunks), { status: response.status === 200 ? 200 : 502 });
};
