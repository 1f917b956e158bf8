import { createDecoder, type Decoder, EventTooLargeError, type ServerSentEvent } from "@sse/protocol";
import { retryAfterOf, waitOf } from "./backoff.ts";
import type { Failure, FailureCode } from "./failure.ts";
import { type ConnectionOptions, type Settings, settingsOf } from "./options.ts";
import { watchPage } from "./page.ts";
import { isEventStream, requestOf } from "./request.ts";

/** Feeds a sink from a URL, whatever becomes of connections, until closed. The sink hears nothing before this returns. */
export type Connect = (url: string, options: ConnectionOptions, sink: Sink) => Link;

export const connect: Connect = (url, options, sink) => new Connection(url, options, sink);

/** Where a connection's events go. */
export interface Sink {
  /** A stream is open; `url` is the one that redirects led to. */
  opened(url: string): void;
  /** An event, in the order of the stream. */
  event(event: ServerSentEvent): void;
  /** There is no stream now, and there will be one again in `retryIn`, or never. */
  failed(failure: Failure): void;
  /** There is no stream because the page sleeps. Nothing is wrong. */
  paused(): void;
  /** When to read on; nothing is read before. Default: at once. */
  ready?(): Promise<void> | undefined;
}

/** What a sink is fed by. */
export interface Link {
  /** Ends it: the sink hears nothing more. */
  close(): void;
}

/** One connection after another to one URL, as WHATWG HTML 9.2.3 says and {@link ConnectionOptions} add. */
class Connection implements Link {
  readonly #url: string;
  readonly #options: ConnectionOptions;
  readonly #settings: Settings;
  readonly #sink: Sink;
  readonly #decoder: Decoder;
  /** Aborted by `close`. */
  readonly #life = new AbortController();
  /** The attempt or stream under way. One that is not this any more has nothing to say. */
  #current: AbortController | null = null;
  #cancelTimer: (() => void) | null = null;
  #suspended = false;
  /** The reconnection time. */
  #retry: number;
  #failures = 0;
  /** Why the last attempt failed. */
  #last: Outcome | null = null;

  constructor(url: string, options: ConnectionOptions, sink: Sink) {
    this.#url = url;
    this.#options = options;
    this.#settings = settingsOf(options);
    this.#sink = sink;
    this.#retry = this.#settings.retry;
    this.#decoder = createDecoder({
      lastEventId: options.lastEventId,
      maxEventBytes: options.maxEventBytes,
      onComment: options.onComment,
      onRetry: (milliseconds) => (this.#retry = milliseconds),
      onEvent: (event) => sink.event(event),
    });
    const { signal } = this.#life;
    options.signal?.addEventListener("abort", () => this.close(), { signal });
    if (options.signal?.aborted) this.close();
    // Nothing may happen before the constructor's caller has its listeners in place.
    void Promise.resolve().then(() => {
      if (signal.aborted) return;
      watchPage(options.pauseWhenHidden ?? false, this.#page, signal);
      if (!this.#suspended) this.#connect();
    });
  }

  readonly #page = {
    suspend: (): void => {
      if (this.#suspended) return;
      this.#suspended = true;
      this.#drop();
      this.#sink.paused();
    },
    resume: (): void => {
      if (!this.#suspended) return;
      this.#suspended = false;
      this.#connect();
    },
    online: (): void => {
      if (this.#current !== null || this.#suspended || this.#last?.code !== "network") return;
      this.#drop();
      this.#connect();
    },
  };

  close(): void {
    this.#drop();
    this.#life.abort();
  }

  /** Lets go of the attempt, stream or wait at hand. */
  #drop(): void {
    this.#cancelTimer?.();
    const current = this.#current;
    this.#current = null;
    // What the chunk at hand still holds is not for anybody: it will come again, or nobody listens.
    this.#decoder.reset();
    current?.abort();
  }

  #connect(): void {
    const attempt = new AbortController();
    this.#current = attempt;
    this.#decoder.reset();
    this.#awaitBytes(attempt);
    void this.#run(attempt).then((outcome) => this.#end(attempt, outcome));
  }

  async #run(attempt: AbortController): Promise<Outcome> {
    let code: FailureCode = "headers";
    try {
      if (!SCHEMES.test(this.#url)) throw new TypeError(`There is no stream to be had from ${this.#url}`);
      const { status: last = null, code: lost } = this.#last ?? {};
      const told = { failures: this.#failures, refusedWith: lost === "status" ? last : null };
      const init = await requestOf(this.#options, told, this.#decoder.lastEventId);
      code = "network";
      if (this.#current !== attempt) return { code };
      const { fetch = globalThis.fetch } = this.#options;
      const response = await fetch(this.#url, { ...init, signal: attempt.signal });
      if (this.#current !== attempt) return { code };
      const { status, headers } = response;
      if (status !== 200)
        return { code: "status", status, retryAfter: retryAfterOf(headers, this.#settings.clock.now()) };
      if (!isEventStream(headers)) return { code: "content-type", status };
      this.#sink.opened(response.url || this.#url);
      return await this.#read(response, attempt);
    } catch (cause) {
      return { code: cause instanceof EventTooLargeError ? "event-too-large" : code, cause };
    }
  }

  async #read({ body, status }: Response, attempt: AbortController): Promise<Outcome> {
    const reader = body?.getReader();
    for (;;) {
      await this.#sink.ready?.();
      if (this.#current !== attempt) break;
      this.#awaitBytes(attempt);
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done || this.#current !== attempt) break;
      // While the sink is busy, silence is not the server's.
      this.#cancelTimer?.();
      // A stream that brings something is no failure, however it ends.
      this.#failures = 0;
      this.#last = null;
      this.#decoder.feed(value);
    }
    return { code: "ended", status };
  }

  /** Gives the attempt up when nothing comes for too long, whether `fetch` obeys its signal or not. */
  #awaitBytes(attempt: AbortController): void {
    this.#cancelTimer?.();
    const { maxSilence, clock } = this.#settings;
    if (maxSilence > 0)
      this.#cancelTimer = clock.after(maxSilence, () => this.#end(attempt, { code: "silent" }));
  }

  #end(attempt: AbortController, outcome: Outcome): void {
    if (this.#current !== attempt) return;
    this.#drop();
    const retryIn = this.#retryIn(outcome);
    const { code, status = null, cause } = outcome;
    this.#last = outcome;
    this.#failures++;
    if (retryIn === null) this.#life.abort();
    else this.#cancelTimer = this.#settings.clock.after(retryIn, () => this.#connect());
    this.#sink.failed({ code, status, cause, retryIn });
  }

  /** Until the next attempt, in milliseconds; null for never (WHATWG HTML 9.2.3, "fail the connection"). */
  #retryIn({ code, status, retryAfter = 0 }: Outcome): number | null {
    const { retryStatuses, maxRetry: cap, jitter, random } = this.#settings;
    if (code === "content-type" || code === "event-too-large" || !SCHEMES.test(this.#url)) return null;
    if (code === "status" && (status === 204 || !retryStatuses.includes(status!))) {
      // What the headers' function gave may have been out of date: once it is asked to renew it.
      const renewable = status === 401 && typeof this.#options.headers === "function";
      return renewable && this.#last?.status !== 401 ? 0 : null;
    }
    const failures = this.#failures;
    return waitOf({ base: this.#retry, failures, cap, jitter, retryAfter, random: random() });
  }
}

/** An attempt that has ended, and not by our own will. */
interface Outcome {
  readonly code: FailureCode;
  readonly status?: number;
  readonly cause?: unknown;
  readonly retryAfter?: number;
}

/** What `fetch` can make streams of. Others are refused for good, as they never will be (WHATWG HTML 9.2.3). */
const SCHEMES = /^(https?|data|blob|file):/;
