import { fields } from "./wire-reader.ts";

/**
 * How a feed stands. `idle` has not been opened yet. `open`, `resumed` and `gap` are how the current stream began (or what it was told since).
 * `retrying` goes on by itself. `failed` is an answer that the client does not try again after; the feed makes a new one.
 */
export type FeedState =
  "idle" | "connecting" | "open" | "resumed" | "gap" | "retrying" | "closing" | "ended" | "failed" | "paused";

/** A feed's state, with the words that go beside it. */
export interface FeedStatus {
  readonly state: FeedState;
  readonly detail: string;
}

/** One line of a feed's record: an event, or the gap that stands where events are missing. `at` is ms since 1970. */
export type FeedEntry =
  | {
      readonly kind: "event";
      readonly id: string;
      readonly type: string;
      readonly data: string;
      readonly at: number;
      readonly replayed: boolean;
    }
  | {
      readonly kind: "gap";
      readonly reason: string;
      readonly from: string | null;
      readonly to: string;
      readonly at: number;
    };

/** What a source tells its listeners: an event's data and id, or why there is no stream. */
export interface SourceEvent {
  readonly data?: unknown;
  readonly lastEventId?: string;
  /** The status that a stream was refused with; null or none when there was no answer. */
  readonly status?: number | null;
}

/** The part of an EventSource that a feed uses. */
export interface EventSourceLike {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: SourceEvent) => void): void;
  close(): void;
}

/** Why events are missing, in words for a reader; which ones, the entry says. */
const GAP_WORDS: Readonly<Record<string, string>> = {
  epoch: "the server has restarted, and what it held is gone",
  evicted: "the server no longer holds what was missed",
  "unknown-id": "the server does not know where this was",
  lag: "some of what was missed was left out",
};

/** What stands beside a feed that the server has no room for. */
export const NO_ROOM = "the server is full for now";

const CLOSING_WORDS: Readonly<Record<string, string>> = {
  drain: "the server sends streams away",
  overload: NO_ROOM,
  slow: "this page read too slowly",
  "max-age": "the stream has had its time",
  "auth-expired": "the token has ended",
};

function wordsOfClosing(reason: string): string {
  return CLOSING_WORDS[reason] ?? `after ${reason}`;
}

/** What a feed needs from its surroundings; injected, so that tests own time and chance. */
export interface FeedPlatform {
  /** Opens a stream at a cursor, "" for none. */
  openSource(url: string, cursor: string): EventSourceLike;
  /** Runs `task` once after `ms`; the answer cancels it. */
  after(ms: number, task: () => void): () => void;
  now(): number;
  random(): number;
}

export interface FeedOptions {
  readonly url: string;
  readonly platform: FeedPlatform;
  onStatus(status: FeedStatus): void;
  onEntry(entry: FeedEntry): void;
}

/** Characters kept of one event's data. */
export const MAX_DATA_LENGTH = 8192;

/** What stands beside a feed whose refusal was for want of a token. */
export const WANTS_TOKEN = "the server wants a token";

const RETRY_FLOOR_MS = 2_000;
const RETRY_CEILING_MS = 30_000;
const OPEN = 1;
const CLOSED = 2;

// An EventSource hands out only the types that it was asked for; the demos use these.
const EVENT_TYPES = ["message", "add", "probe", "progress", "stats", "status"];

/** One stream, read through one EventSource after another, with its state and its cursor. */
export class Feed {
  readonly #options: FeedOptions;
  #source: EventSourceLike | null = null;
  #cancelRetry: (() => void) | null = null;
  #status: FeedStatus = { state: "idle", detail: "" };
  #cursor = "";
  #ended = false;
  #closingReason = "";
  #refusals = 0;
  #replaysLeft = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  get state(): FeedState {
    return this.#status.state;
  }

  /** True while a stream is open and nothing has announced its end. */
  get connected(): boolean {
    return this.state === "open" || this.state === "resumed" || this.state === "gap";
  }

  /** Opens the EventSource, from the cursor if there is one. Does nothing while the feed is active already. */
  open(): void {
    if (this.#source !== null || this.#cancelRetry !== null || this.state === "ended") return;
    this.#set("connecting");
    this.#connect();
  }

  /** Closes the EventSource and keeps the cursor, so that {@link open} goes on where it was. */
  pause(detail = ""): void {
    if (this.state === "ended") return;
    this.close();
    this.#set("paused", detail);
  }

  /** Lets go of the connection without a word: the feed is being replaced. */
  close(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#source?.close();
    this.#source = null;
  }

  #connect(): void {
    const source = this.#options.platform.openSource(this.#options.url, this.#cursor);
    this.#source = source;
    const on = (type: string, handle: (data: string) => void) =>
      source.addEventListener(type, (event) => {
        if (source !== this.#source) return;
        // Control events carry ids too: sse:ready's id is the cursor before the first event has come.
        if (event.lastEventId) this.#cursor = event.lastEventId;
        handle(String(event.data));
      });
    // Who joins the stream of another tab hears of no beginning but this.
    source.addEventListener("open", () => {
      if (source === this.#source && !this.connected) this.#set("open");
    });
    for (const type of EVENT_TYPES) on(type, (data) => this.#onEvent(type, data));
    on("sse:ready", (data) => this.#onReady(fields(data)));
    on("sse:gap", (data) => this.#onGap(fields(data)));
    on("sse:closing", (data) => {
      this.#closingReason = text(fields(data)["reason"]);
      this.#set("closing", this.#closingReason);
    });
    // No close() here: the client comes back once, is answered 204, and stops by itself. That is the contract.
    on("sse:end", () => {
      this.#ended = true;
      this.#set("closing", "topic ended");
    });
    source.addEventListener("error", (event) => {
      if (source === this.#source) this.#onError(source, event);
    });
  }

  #onReady(ready: Record<string, unknown>): void {
    this.#ended = false;
    this.#closingReason = "";
    this.#refusals = 0;
    const replayed = Number(ready["replayed"]) || 0;
    this.#replaysLeft = replayed;
    const reason = text(ready["reason"]);
    if (ready["resume"] === "reset") this.#set("gap", GAP_WORDS[reason] ?? reason);
    else if (ready["resume"] === "resumed") this.#set("resumed", `${replayed} replayed`);
    else this.#set("open", replayed > 0 ? `${replayed} replayed` : "");
  }

  #onGap(gap: Record<string, unknown>): void {
    const from = typeof gap["from"] === "string" ? gap["from"] : null;
    const [reason, to] = [text(gap["reason"]), text(gap["to"])];
    this.#set("gap", GAP_WORDS[reason] ?? reason);
    this.#options.onEntry({ kind: "gap", reason, from, to, at: this.#options.platform.now() });
  }

  #onEvent(type: string, data: string): void {
    const replayed = this.#replaysLeft > 0;
    if (replayed) this.#replaysLeft--;
    const rest = data.length - MAX_DATA_LENGTH;
    this.#options.onEntry({
      kind: "event",
      id: this.#cursor,
      type,
      data:
        rest > 0 ? `${data.slice(0, MAX_DATA_LENGTH)}… (${rest.toLocaleString("en")} more characters)` : data,
      at: this.#options.platform.now(),
      replayed,
    });
  }

  #onError(source: EventSourceLike, { status }: SourceEvent): void {
    // An event of the type "error" arrives here as well, on a stream that is open.
    if (source.readyState === OPEN) return;
    if (source.readyState !== CLOSED) {
      if (this.#ended) return;
      const lost = status ? `the server answered ${status}` : "connection lost";
      this.#set("retrying", this.#closingReason ? wordsOfClosing(this.#closingReason) : lost);
      return;
    }
    this.#source = null;
    if (this.#ended) {
      this.#set("ended");
      return;
    }
    const wait = this.#backoff();
    const why = status === 401 || status === 403 ? WANTS_TOKEN : "refused";
    this.#set("failed", `${why}, next try in ${Math.ceil(wait / 1000)} s`);
    this.#cancelRetry = this.#options.platform.after(wait, () => {
      this.#cancelRetry = null;
      this.#set("connecting");
      this.#connect();
    });
  }

  /** 2 s and a random part that doubles with each refusal, up to 30 s: refused pages must not come back as one. */
  #backoff(): number {
    const ceiling = Math.min(RETRY_CEILING_MS, RETRY_FLOOR_MS * 2 ** ++this.#refusals);
    return RETRY_FLOOR_MS + this.#options.platform.random() * (ceiling - RETRY_FLOOR_MS);
  }

  #set(state: FeedState, detail = ""): void {
    this.#status = { state, detail };
    this.#options.onStatus(this.#status);
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
