import type { FeedName } from "./feeds-shown.ts";

/**
 * How a feed stands. `idle` has not been opened yet. `open`, `resumed` and `gap` are how the current stream began (or what it was told since).
 * `retrying` is the browser's own reconnect. `failed` is an answer other than 200, after which an EventSource never
 * tries again and the feed makes a new one.
 */
export type FeedState =
  "idle" | "connecting" | "open" | "resumed" | "gap" | "retrying" | "closing" | "ended" | "failed" | "paused";

/** A feed's state, with the words that go beside it. `held` is a pause that the page made, not the reader. */
export interface FeedStatus {
  readonly state: FeedState;
  readonly detail: string;
  readonly held: boolean;
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

/** Everything that a tab needs to draw a feed it has not followed from the start. Entries are oldest first. */
export interface FeedSnapshot {
  readonly name: FeedName;
  readonly topic: string;
  readonly status: FeedStatus;
  readonly entries: readonly FeedEntry[];
}

/** The part of the browser's EventSource that a feed uses. */
export interface EventSourceLike {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: { data?: unknown; lastEventId?: string }) => void): void;
  close(): void;
}

/** Why events are missing, in words for a reader; which ones, the entry says. */
const GAP_WORDS: Readonly<Record<string, string>> = {
  epoch: "the server has restarted, and what it held is gone",
  evicted: "the server no longer holds what was missed",
  "unknown-id": "the server does not know where this was",
  lag: "some of what was missed was left out",
};

/** What a feed needs from its surroundings; injected, so that tests own time and chance. */
export interface FeedPlatform {
  openSource(url: string): EventSourceLike;
  /** The status that a URL is answered with, which an EventSource does not tell; 0 when there is no answer. */
  statusOf(url: string): Promise<number>;
  /** Runs `task` once after `ms`; the answer cancels it. */
  after(ms: number, task: () => void): () => void;
  now(): number;
  random(): number;
}

export interface FeedOptions {
  readonly name: FeedName;
  readonly topic: string;
  readonly replay: string | null;
  readonly platform: FeedPlatform;
  onStatus(status: FeedStatus): void;
  onEntry(entry: FeedEntry): void;
}

/** Entries kept per feed, and characters kept of one event's data: a feed's memory is bounded by their product. */
export const MAX_ENTRIES = 50;
export const MAX_DATA_LENGTH = 8192;

/** What stands beside a feed whose refusal was for want of a token. */
export const WANTS_TOKEN = "the server wants a token";

const RETRY_FLOOR_MS = 2_000;
const RETRY_CEILING_MS = 30_000;
const OPEN = 1;
const CLOSED = 2;

// An EventSource hands out only the types that it was asked for; the demos use these.
const EVENT_TYPES = ["message", "add", "progress", "status"];

/** One topic, read through one native EventSource, with its state, its cursor and its latest entries. */
export class Feed {
  readonly topic: string;
  readonly #options: FeedOptions;
  #source: EventSourceLike | null = null;
  #cancelRetry: (() => void) | null = null;
  #status: FeedStatus = { state: "idle", detail: "", held: false };
  #entries: FeedEntry[] = [];
  #cursor = "";
  #ended = false;
  #closingReason = "";
  #refusals = 0;
  #replaysLeft = 0;

  constructor(options: FeedOptions) {
    this.topic = options.topic;
    this.#options = options;
  }

  get state(): FeedState {
    return this.#status.state;
  }

  /** True while this feed uses, or is about to use, one of the browser's six connections. */
  get active(): boolean {
    return this.state !== "idle" && this.state !== "paused" && this.state !== "ended";
  }

  /** True while a stream is open and nothing has announced its end. */
  get connected(): boolean {
    return this.state === "open" || this.state === "resumed" || this.state === "gap";
  }

  snapshot(): FeedSnapshot {
    return {
      name: this.#options.name,
      topic: this.topic,
      status: this.#status,
      entries: [...this.#entries],
    };
  }

  /** Opens the EventSource, from the cursor if there is one. Does nothing while the feed is active already. */
  open(): void {
    if (this.#source !== null || this.#cancelRetry !== null || this.state === "ended") return;
    this.#set("connecting");
    this.#connect();
  }

  /** Closes the EventSource and keeps the cursor, so that {@link open} goes on where it was. */
  pause(detail = "", held = false): void {
    if (this.state === "ended") return;
    this.close();
    this.#set("paused", detail, held);
  }

  /** Lets go of the connection without a word: the feed is being replaced. */
  close(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#source?.close();
    this.#source = null;
  }

  #connect(): void {
    const source = this.#options.platform.openSource(this.#url());
    this.#source = source;
    const on = (type: string, handle: (data: string) => void) =>
      source.addEventListener(type, (event) => {
        if (source !== this.#source) return;
        // Control events carry ids too: sse:ready's id is the cursor before the first event has come.
        if (event.lastEventId) this.#cursor = event.lastEventId;
        handle(String(event.data));
      });
    for (const type of EVENT_TYPES) on(type, (data) => this.#onEvent(type, data));
    on("sse:ready", (data) => this.#onReady(readControl(data)));
    on("sse:gap", (data) => this.#onGap(readControl(data)));
    on("sse:closing", (data) => {
      this.#closingReason = text(readControl(data)["reason"]);
      this.#set("closing", this.#closingReason);
    });
    // No close() here: the browser comes back once, is answered 204, and stops by itself. That is the contract.
    on("sse:end", () => {
      this.#ended = true;
      this.#set("closing", "topic ended");
    });
    source.addEventListener("error", () => {
      if (source === this.#source) this.#onError(source);
    });
  }

  #url(): string {
    const query = new URLSearchParams({ topic: this.#options.topic });
    if (this.#cursor !== "") query.set("lastEventId", this.#cursor);
    else if (this.#options.replay !== null) query.set("replay", this.#options.replay);
    return `/events?${query}`;
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
    this.#keep({ kind: "gap", reason, from, to, at: this.#options.platform.now() });
  }

  #onEvent(type: string, data: string): void {
    const replayed = this.#replaysLeft > 0;
    if (replayed) this.#replaysLeft--;
    const rest = data.length - MAX_DATA_LENGTH;
    this.#keep({
      kind: "event",
      id: this.#cursor,
      type,
      data:
        rest > 0 ? `${data.slice(0, MAX_DATA_LENGTH)}… (${rest.toLocaleString("en")} more characters)` : data,
      at: this.#options.platform.now(),
      replayed,
    });
  }

  #onError(source: EventSourceLike): void {
    // An event of the type "error" arrives here as well, on a stream that is open.
    if (source.readyState === OPEN) return;
    if (source.readyState !== CLOSED) {
      if (this.#ended) return;
      this.#set("retrying", this.#closingReason ? `after ${this.#closingReason}` : "connection lost");
      return;
    }
    this.#source = null;
    if (this.#ended) {
      this.#set("ended");
      return;
    }
    const wait = this.#backoff();
    const next = `next try in ${Math.ceil(wait / 1000)} s`;
    this.#set("failed", `refused, ${next}`);
    const cancel = this.#options.platform.after(wait, () => {
      this.#cancelRetry = null;
      this.#set("connecting");
      this.#connect();
    });
    this.#cancelRetry = cancel;
    void this.#options.platform.statusOf(this.#url()).then((status) => {
      if (this.#cancelRetry !== cancel) return;
      if (status === 401 || status === 403) this.#set("failed", `${WANTS_TOKEN}, ${next}`);
    });
  }

  /** 2 s and a random part that doubles with each refusal, up to 30 s: refused pages must not come back as one. */
  #backoff(): number {
    const ceiling = Math.min(RETRY_CEILING_MS, RETRY_FLOOR_MS * 2 ** ++this.#refusals);
    return RETRY_FLOOR_MS + this.#options.platform.random() * (ceiling - RETRY_FLOOR_MS);
  }

  #keep(entry: FeedEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > MAX_ENTRIES) this.#entries.shift();
    this.#options.onEntry(entry);
  }

  #set(state: FeedState, detail = "", held = false): void {
    this.#status = { state, detail, held };
    this.#options.onStatus(this.#status);
  }
}

function readControl(data: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
