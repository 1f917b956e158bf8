import { createDecoder } from "@sse/protocol";
import { problemOf } from "./post.ts";
import { authorization } from "./token.ts";
import { WireSplitter } from "./wire-splitter.ts";

/** An event, and the bytes that it came as. */
export interface WireEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string;
  /** Its first bytes on the wire, at most {@link MAX_RAW_BYTES}. */
  readonly raw: Uint8Array;
  /** How many bytes it took on the wire. */
  readonly size: number;
  /** When it arrived: milliseconds since 1970. */
  readonly at: number;
}

/** How the reader stands. `waiting` goes on by itself; after `refused` and `ended` somebody has to ask again. */
export type WireState =
  | { readonly is: "closed" | "connecting" | "ended" }
  | { readonly is: "open"; readonly resume: string; readonly replayed: number; readonly reason: string }
  | { readonly is: "waiting"; readonly why: string; readonly wait: number }
  | { readonly is: "refused"; readonly status: number; readonly problem: string };

export interface WireReaderOptions {
  /** The stream, for a reader at this cursor; "" for one without. */
  readonly url: (cursor: string) => string;
  /** Default: the browser's. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Runs `task` once after `ms`; the answer cancels it. Default: a timer. */
  after?: (ms: number, task: () => void) => () => void;
  /** Default `Math.random`. */
  random?: () => number;
  readonly onEvent: (event: WireEvent) => void;
  readonly onState: (state: WireState) => void;
}

/** Bytes kept of one event. */
export const MAX_RAW_BYTES = 16 * 1024;
/** An event larger than this is more than a page should hold. */
const MAX_EVENT_BYTES = 8 * 1024 * 1024;
const RETRY_CEILING_MS = 30_000;

/**
 * A reader of one stream that keeps the bytes and can be ill-treated: cut off, or kept from reading. Otherwise it does
 * what an EventSource does, and what the hub asks of a client: it resumes from its cursor, waits as long as it is told
 * to, and stays away after 204.
 */
export class WireReader {
  readonly #options: WireReaderOptions;
  #state: WireState = { is: "closed" };
  #abort: AbortController | null = null;
  #cancelWait: (() => void) | null = null;
  #stalled: PromiseWithResolvers<void> | null = null;
  #cursor: string;
  #retry = 2_000;
  #failures = 0;
  #closing = "";

  /** @param cursor where to resume; default: nowhere */
  constructor(options: WireReaderOptions, cursor = "") {
    this.#options = options;
    this.#cursor = cursor;
  }

  get state(): WireState {
    return this.#state;
  }

  get cursor(): string {
    return this.#cursor;
  }

  open(): void {
    if (this.#abort !== null) return;
    this.#cancelWait?.();
    this.#cancelWait = null;
    const abort = new AbortController();
    this.#abort = abort;
    this.#set({ is: "connecting" });
    void this.#run(abort);
  }

  /** Ends for good. */
  close(): void {
    this.#drop();
    this.#set({ is: "closed" });
  }

  /** Aborts the connection as a lost network would, and comes back after `wait` milliseconds. */
  cut(wait: number): void {
    this.#drop();
    this.#wait("cut", wait);
  }

  /** Stops reading: what the server sends fills the buffers between it and here, and then its patience is tried. */
  stall(): void {
    this.#stalled ??= Promise.withResolvers();
  }

  /** Reads on. */
  unstall(): void {
    this.#stalled?.resolve();
    this.#stalled = null;
  }

  #drop(): void {
    this.unstall();
    this.#cancelWait?.();
    this.#cancelWait = null;
    this.#abort?.abort();
    this.#abort = null;
  }

  async #run(abort: AbortController): Promise<void> {
    const { fetch = globalThis.fetch.bind(globalThis), url } = this.#options;
    try {
      const response = await fetch(url(this.#cursor), {
        headers: { accept: "text/event-stream", ...authorization() },
        cache: "no-store",
        signal: abort.signal,
      });
      if (abort.signal.aborted) return;
      if (!(await this.#accepts(response))) return;
      await this.#read(response.body!, abort);
      this.#lost(abort, this.#closing === "" ? "the connection has ended" : `closed: ${this.#closing}`);
    } catch (error) {
      const isNetwork = error instanceof TypeError || error instanceof DOMException;
      this.#lost(abort, isNetwork ? "the connection was lost" : String(error));
    }
  }

  /** What is not a stream: 204 and refusals are final, and who is told to come back later does. */
  async #accepts(response: Response): Promise<boolean> {
    const { status } = response;
    if (status === 200) return true;
    const signal = this.#abort?.signal;
    const problem = status === 204 ? "" : await problemOf(response);
    if (signal?.aborted) return false;
    this.#abort = null;
    if (status === 204) this.#set({ is: "ended" });
    else if (status === 429 || status >= 500) {
      const seconds = Number(response.headers.get("retry-after"));
      this.#wait(problem, seconds > 0 ? seconds * 1000 : this.#backoff());
    } else this.#set({ is: "refused", status, problem });
    return false;
  }

  async #read(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    this.#closing = "";
    let block = new Uint8Array();
    const decoder = createDecoder({
      lastEventId: this.#cursor,
      maxEventBytes: MAX_EVENT_BYTES,
      onRetry: (retry) => (this.#retry = Math.min(retry, RETRY_CEILING_MS)),
      onEvent: ({ type, data, lastEventId }) => {
        this.#cursor = lastEventId;
        if (type === "sse:ready") this.#ready(data);
        if (type === "sse:closing") this.#closing = String(fields(data)["reason"]);
        const raw = block.slice(0, MAX_RAW_BYTES);
        this.#options.onEvent({ type, data, id: lastEventId, raw, size: block.length, at: Date.now() });
      },
    });
    const splitter = new WireSplitter((bytes) => {
      block = bytes as Uint8Array<ArrayBuffer>;
      decoder.feed(bytes);
    });
    const reader = body.getReader();
    while (!abort.signal.aborted) {
      if (this.#stalled !== null) await this.#stalled.promise;
      const { done, value } = await reader.read();
      if (done) return;
      if (!abort.signal.aborted) splitter.feed(value);
    }
  }

  #ready(data: string): void {
    const { resume, replayed, reason } = fields(data);
    this.#failures = 0;
    this.#set({
      is: "open",
      resume: String(resume),
      replayed: Number(replayed) || 0,
      reason: typeof reason === "string" ? reason : "",
    });
  }

  #lost(abort: AbortController, why: string): void {
    if (abort.signal.aborted || this.#abort !== abort) return;
    this.#abort = null;
    this.#wait(why, this.#backoff());
  }

  #wait(why: string, wait: number): void {
    this.#set({ is: "waiting", why, wait });
    const after = this.#options.after ?? defaultAfter;
    this.#cancelWait = after(wait, () => this.open());
  }

  /** What the server asked for, doubled with each failure, and spread so that readers do not come back as one. */
  #backoff(): number {
    const ceiling = Math.min(RETRY_CEILING_MS, this.#retry * 2 ** this.#failures++);
    return Math.round(ceiling * (0.5 + (this.#options.random ?? Math.random)() / 2));
  }

  #set(state: WireState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

function defaultAfter(ms: number, task: () => void): () => void {
  const timer = setTimeout(task, ms);
  return () => clearTimeout(timer);
}

/** The fields of a control event's data; none when it is no object. */
export function fields(data: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
