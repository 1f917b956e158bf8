import { EventSourceErrorEvent, type Failure, type Fetch } from "@sse/client";
import { AllEventsSource } from "./all-events-source.ts";
import { fields } from "./fields.ts";
import { problemOf } from "./post.ts";
import { WireSplitter } from "./wire-splitter.ts";

/** An event, and the bytes that it came as. */
export interface WireEvent {
  readonly type: string;
  readonly data: string;
  readonly id: string;
  /** Its first bytes on the wire. */
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
  | { readonly is: "refused"; readonly status: number | null; readonly problem: string };

export interface WireReaderOptions {
  readonly url: string;
  /** Default: the browser's. */
  readonly fetch?: Fetch;
  readonly onEvent: (event: WireEvent) => void;
  readonly onState: (state: WireState) => void;
}

/** An event larger than this is more than a page should hold. */
const MAX_EVENT_BYTES = 8 * 1024 * 1024;

/** A client of one stream that shows the bytes, and can be ill-treated: cut off, or kept from reading. */
export class WireReader {
  readonly #options: WireReaderOptions;
  #state: WireState = { is: "closed" };
  #source: AllEventsSource | null = null;
  #splitter = new WireSplitter();
  #stalled: PromiseWithResolvers<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #cursor: string;
  #closing = "";
  #problem = "";

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
    if (this.#source !== null) return;
    clearTimeout(this.#timer);
    this.#source = new AllEventsSource(
      this.#options.url,
      {
        lastEventId: this.#cursor,
        maxEventBytes: MAX_EVENT_BYTES,
        maxSilence: null, // who is kept from reading hears nothing
        fetch: (url, init) => this.#fetch(url, init),
      },
      (event) => {
        if (event instanceof EventSourceErrorEvent) this.#failed(event);
        else if (event instanceof MessageEvent) this.#event(event as MessageEvent<string>);
      },
    );
  }

  /** Ends for good. */
  close(): void {
    this.#drop();
    this.#set({ is: "closed" });
  }

  /** Aborts the connection as a lost network would, and comes back after `wait` milliseconds. */
  cut(wait: number): void {
    this.#drop();
    this.#set({ is: "waiting", why: "cut", wait });
    this.#timer = setTimeout(() => this.open(), wait);
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
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    this.#closing = "";
    this.#set({ is: "connecting" });
    const { fetch = globalThis.fetch } = this.#options;
    const response = await fetch(url, init);
    this.#problem = response.ok ? "" : await problemOf(response);
    return response.status === 200 ? new Response(this.#watched(response.body!), response) : response;
  }

  /** The body, read no sooner than the client asks, and a block at a time: so the block at hand is that of the event. */
  #watched(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const pieces = this.#pieces(body);
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(value);
    };
    return new ReadableStream({ pull }, { highWaterMark: 0 });
  }

  async *#pieces(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
    const reader = body.getReader();
    this.#splitter = new WireSplitter();
    for (;;) {
      await this.#stalled?.promise;
      const { done, value } = await reader.read();
      if (done) return undefined;
      yield* this.#splitter.pieces(value);
    }
  }

  #event({ type, data, lastEventId }: MessageEvent<string>): void {
    this.#cursor = lastEventId;
    if (type === "sse:ready") this.#ready(data);
    if (type === "sse:closing") this.#closing = String(fields(data)["reason"]);
    const { raw, size } = this.#splitter;
    this.#options.onEvent({ type, data, id: lastEventId, raw, size, at: Date.now() });
  }

  #ready(data: string): void {
    const { resume, replayed, reason } = fields(data);
    this.#set({
      is: "open",
      resume: String(resume),
      replayed: Number(replayed) || 0,
      reason: typeof reason === "string" ? reason : "",
    });
  }

  #failed({ code, status, retryIn }: Failure): void {
    if (retryIn !== null)
      return this.#set({ is: "waiting", why: this.#why(code), wait: Math.round(retryIn) });
    this.#source = null;
    if (status === 204) this.#set({ is: "ended" });
    else this.#set({ is: "refused", status, problem: this.#problem || `This cannot be read: ${code}` });
  }

  #why(code: Failure["code"]): string {
    if (code === "status") return this.#problem;
    if (code !== "ended") return "the connection was lost";
    return this.#closing === "" ? "the connection has ended" : `closed: ${this.#closing}`;
  }

  #set(state: WireState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}
