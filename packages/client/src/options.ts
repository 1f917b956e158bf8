import { type Clock, systemClock } from "./clock.ts";

/**
 * What a connection is told: the standard's `withCredentials`, and what the standard lacks. `undefined` means the default,
 * `null` turns a thing off. Times are in milliseconds.
 */
export interface ConnectionOptions {
  /** Sends cookies, and takes them, across origins too. Default: false. */
  withCredentials?: boolean | undefined;
  /**
   * Sent besides `Accept`, `Last-Event-ID` and, outside of browsers, `Cache-Control`, and in their place. A function
   * is asked again at each attempt, so that a token can be renewed; and because it can, the first 401 in a row is
   * answered by asking it at once. Default: none.
   */
  headers?: HeaderRecord | ((attempt: Attempt) => HeaderRecord | Promise<HeaderRecord>) | undefined;
  /** Default: `GET`. */
  method?: string | undefined;
  /** Sent at each attempt; a function is asked for it each time. Default: none. */
  body?: RequestBody | ((attempt: Attempt) => RequestBody | Promise<RequestBody>) | undefined;
  /** In place of the global `fetch`. It has to obey `signal`. Default: `globalThis.fetch`, looked up at each attempt. */
  fetch?: Fetch | undefined;
  /** The cursor to begin at: the `lastEventId` of an earlier event. Default: `""`, none. */
  lastEventId?: string | undefined;
  /** The reconnection time until the server's `retry:` sets another. Default: 3,000. */
  retry?: number | undefined;
  /** What the doubling of the reconnection time stops at, while attempts fail. Default: 30,000. */
  maxRetry?: number | undefined;
  /** How much longer a wait may get by chance, as a part of it. Default: 0.5. */
  jitter?: number | null | undefined;
  /**
   * The statuses that are tried again, and not before `Retry-After`. A native EventSource dies of any status but 200;
   * so does this one with `null`. 204 is never tried again: it is how a server says to stay away. Default: 408, 425,
   * 429, 500, 502, 503, 504.
   */
  retryStatuses?: readonly number[] | null | undefined;
  /**
   * The longest silence before the connection is given up and made anew, from the request on. Any byte ends it, also
   * that of a heartbeat: a server should send one three times as often. `null` for a server that sends none. Default:
   * 45,000.
   */
  maxSilence?: number | null | undefined;
  /**
   * The most bytes of one event; a larger one ends the client, since it would come again. `null`: no limit. Default:
   * 128 MiB.
   */
  maxEventBytes?: number | null | undefined;
  /** Closes the client. Default: none. */
  signal?: AbortSignal | undefined;
  /** Lets the connection go while the page cannot be seen, and resumes at the cursor when it can. Default: false. */
  pauseWhenHidden?: boolean | undefined;
  /** Called with each comment. Default: nobody is. */
  onComment?: ((text: string) => void) | undefined;
  /**
   * One connection for all tabs, frames and workers of an origin that ask for the same URL with the same
   * `withCredentials`, `method`, `body` and `headers`. The one that holds it hands it over when it closes, crashes,
   * sleeps or hangs, and no event is lost or comes twice, provided that each event has an id of its own. Who comes
   * later begins at the present; with a `replay` in the URL, at the beginning.
   *
   * What functions answer is not compared: all are taken to be the same user's. Where they may not be, give the user's
   * id: those share who give the same.
   *
   * Where there are no Web Locks (outside of browsers, without HTTPS), or where the part of the client that does it
   * cannot be loaded, each has a connection of its own. Default: false.
   */
  shared?: boolean | string | null | undefined;
  /** Default: the runtime's own. */
  clock?: Clock | undefined;
  /** Numbers in [0, 1). Default: `Math.random`. */
  random?: (() => number) | undefined;
}

/** The defaults of {@link ConnectionOptions} that are values. */
export const CLIENT_DEFAULTS = Object.freeze({
  retry: 3_000,
  maxRetry: 30_000,
  jitter: 0.5,
  retryStatuses: Object.freeze([408, 425, 429, 500, 502, 503, 504]),
  maxSilence: 45_000,
}) satisfies ConnectionOptions;

/** The options that have a default, with it. */
export interface Settings {
  readonly retry: number;
  readonly maxRetry: number;
  readonly jitter: number;
  readonly retryStatuses: readonly number[];
  readonly maxSilence: number;
  readonly clock: Clock;
  readonly random: () => number;
}

/** @throws RangeError naming the option and its value */
export function settingsOf(options: ConnectionOptions): Settings {
  const { retry, maxRetry, jitter, retryStatuses, maxSilence } = options;
  return {
    retry: nonNegative("retry", retry ?? CLIENT_DEFAULTS.retry),
    maxRetry: nonNegative("maxRetry", maxRetry ?? CLIENT_DEFAULTS.maxRetry),
    jitter: nonNegative("jitter", jitter === undefined ? CLIENT_DEFAULTS.jitter : (jitter ?? 0)),
    retryStatuses: retryStatuses === undefined ? CLIENT_DEFAULTS.retryStatuses : (retryStatuses ?? []),
    maxSilence: maxSilence === null ? 0 : nonNegative("maxSilence", maxSilence ?? CLIENT_DEFAULTS.maxSilence),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  };
}

/** What a function that gives the headers is told of the attempt that they are for. */
export interface Attempt {
  /** How often in a row the connection was refused or lost since something last came; 0 for the first attempt. */
  readonly failures: number;
  /**
   * The status that the last attempt was refused with, 401 say: a token that is still in a cache is then worth
   * nothing.
   */
  readonly refusedWith: number | null;
}

/** Headers as the client takes them; a value of `undefined` or `null` is left out. */
export type HeaderRecord = Readonly<Record<string, string | null | undefined>>;

/** What can be sent again and again, so no stream. */
export type RequestBody = string | URLSearchParams | FormData | Blob | ArrayBuffer | Uint8Array<ArrayBuffer>;

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

function nonNegative(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new RangeError(`${name} must be a number from 0 on; got ${String(value)}`);
}
