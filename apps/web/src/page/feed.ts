import { CLIENT_DEFAULTS, EventSourceErrorEvent, type Failure } from "@sse/client";
import { fields } from "./fields.ts";

/**
 * How a feed stands. `idle` has not been opened yet. `open`, `resumed` and `gap` are how the current stream began (or what it was told since).
 * `retrying` goes on by itself. `failed` is a refusal, which only somebody's doing will change; it is tried again all the same.
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

/** What a feed needs from its surroundings; injected, so that tests own time and network. */
export interface FeedPlatform {
  /** Opens a stream at a cursor, "" for none, and hands on whatever an EventSource tells. */
  openSource(url: string, cursor: string, hear: (event: Event) => void): Source;
  /** Runs `task` once after `ms`; the answer cancels it. */
  after(ms: number, task: () => void): () => void;
  now(): number;
}

/** A stream that was opened; it says nothing any more once it is closed. */
export interface Source {
  close(): void;
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

/** One stream, read through one EventSource after another, with its state and its cursor. */
export class Feed {
  readonly #options: FeedOptions;
  #source: Source | null = null;
  #status: FeedStatus = { state: "idle", detail: "" };
  #cursor = "";
  #ended = false;
  #closingReason = "";
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
    if (this.#source !== null || this.state === "ended") return;
    this.#set("connecting");
    const { url, platform } = this.#options;
    this.#source = platform.openSource(url, this.#cursor, (event) => this.#hear(event));
  }

  /** Closes the EventSource and keeps the cursor, so that {@link open} goes on where it was. */
  pause(detail = ""): void {
    if (this.state === "ended") return;
    this.close();
    this.#set("paused", detail);
  }

  /** Lets go of the connection without a word: the feed is being replaced. */
  close(): void {
    this.#source?.close();
    this.#source = null;
  }

  #hear(event: Event): void {
    if (event instanceof EventSourceErrorEvent) this.#onFailure(event);
    else if (event instanceof MessageEvent) this.#onEvent(event as MessageEvent<string>);
    // Who joins the stream of another tab hears of no beginning but this.
    else if (!this.connected) this.#set("open");
  }

  #onEvent({ type, data, lastEventId }: MessageEvent<string>): void {
    // Control events carry ids too: sse:ready's id is the cursor before the first event has come.
    if (lastEventId !== "") this.#cursor = lastEventId;
    if (!type.startsWith("sse:")) this.#add(type, data);
    else if (type === "sse:ready") this.#onReady(fields(data));
    else if (type === "sse:gap") this.#onGap(fields(data));
    else if (type === "sse:closing") {
      this.#closingReason = text(fields(data)["reason"]);
      this.#set("closing", this.#closingReason);
    } else if (type === "sse:end") {
      // No close() here: the client comes back once, is answered 204, and stops by itself. That is the contract.
      this.#ended = true;
      this.#set("closing", "topic ended");
    }
  }

  #onReady(ready: Record<string, unknown>): void {
    this.#ended = false;
    this.#closingReason = "";
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

  #add(type: string, data: string): void {
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

  #onFailure({ code, status, retryIn }: Failure): void {
    if (retryIn === null) this.#source = null;
    if (status === 204) return this.#set("ended");
    if (this.#ended) return;
    const answer = code === "status" ? status! : null;
    if (retryIn === null) return this.#set("failed", "refused");
    if (answer !== null && !CLIENT_DEFAULTS.retryStatuses.includes(answer)) {
      const why = answer === 401 || answer === 403 ? WANTS_TOKEN : "refused";
      return this.#set("failed", `${why}, next try in ${Math.ceil(retryIn / 1000)} s`);
    }
    const lost = answer === null ? "connection lost" : `the server answered ${answer}`;
    this.#set("retrying", this.#closingReason ? wordsOfClosing(this.#closingReason) : lost);
  }

  #set(state: FeedState, detail = ""): void {
    this.#status = { state, detail };
    this.#options.onStatus(this.#status);
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
