import type { Link, Sink } from "../connection.ts";
import type { Failure } from "../failure.ts";
import type { ConnectionOptions, Settings } from "../options.ts";
import { History, type Step } from "./history.ts";
import type { Message } from "./message.ts";
import type { SharingPlatform } from "./platform.ts";

/*
 * Loaded when it is needed. It imports nothing that runs of what is always there, but is given it: bundlers would make
 * a file of its own of what both need, and everybody would have to wait for two.
 */

/**
 * One user of a shared connection. It waits for the lock; who has it leads: connects, and tells the others each event
 * with the cursor before it. By that the others know whether they have the event already, which is so after a
 * hand-over to a leader that was behind them, or have missed one, and then ask for it. Who cannot be helped connects
 * by itself, until it meets the others again.
 */
export class Member implements Link {
  readonly #id = crypto.randomUUID();
  readonly #name: string;
  readonly #url: string;
  readonly #options: ConnectionOptions;
  readonly #settings: Settings;
  readonly #sink: Sink;
  readonly #platform: SharingPlatform;
  readonly #life = new AbortController();
  /** Null until this tab knows where it stands. */
  #history: History | null = null;
  #role: "away" | "joining" | "following" | "leading" | "alone" = "away";
  #channel: BroadcastChannel | null = null;
  /** Aborted to leave the queue for the lock. */
  #queue = new AbortController();
  #releaseLock: (() => void) | null = null;
  #link: Link | null = null;
  /** Where the stream that the sink believes in comes from; null for none. */
  #openAt: string | null = null;
  #backlog = 0;
  #cancelTimer: (() => void) | null = null;

  constructor(
    url: string,
    options: ConnectionOptions,
    settings: Settings,
    sink: Sink,
    platform: SharingPlatform,
  ) {
    this.#name = nameOf(url, options);
    this.#url = url;
    this.#options = options;
    this.#settings = settings;
    this.#sink = sink;
    this.#platform = platform;
    if (options.lastEventId) this.#history = new History(options.lastEventId, false);
    const { signal } = this.#life;
    options.signal?.addEventListener("abort", () => this.close(), { signal });
    if (options.signal?.aborted) this.close();
    void Promise.resolve().then(() => {
      if (signal.aborted) return;
      let asleep = false;
      const suspend = (): void => {
        asleep = true;
        this.#leave();
        this.#openAt = null;
        sink.paused();
      };
      const resume = (): void => {
        if (asleep) this.#enter();
        asleep = false;
      };
      platform.watchPage(options.pauseWhenHidden ?? false, { suspend, resume, online() {} }, signal);
      if (!asleep) this.#enter();
    });
  }

  close(): void {
    this.#leave();
    this.#life.abort();
  }

  #enter(): void {
    this.#channel = new this.#platform.Channel(this.#name);
    this.#channel.addEventListener("message", (event) => this.#hear((event as MessageEvent<Message>).data));
    this.#join();
    this.#waitForLock({});
  }

  /** Lets go of everything that others may need: a tab that sleeps must not hold the lock, nor be next in the queue. */
  #leave(): void {
    this.#role = "away";
    this.#cancelTimer?.();
    this.#link?.close();
    this.#link = null;
    this.#queue.abort();
    this.#releaseLock?.();
    this.#releaseLock = null;
    this.#channel?.close();
    this.#channel = null;
  }

  #waitForLock(how: { steal?: true }): void {
    this.#queue.abort();
    const queue = (this.#queue = new AbortController());
    const held = (): Promise<void> =>
      new Promise((resolve) => {
        if (queue.signal.aborted) return resolve();
        this.#releaseLock = resolve;
        this.#lead();
      });
    // A lock cannot be taken from its holder and waited for at once.
    this.#platform.locks.request(this.#name, how.steal ? how : { signal: queue.signal }, held).catch(() => {
      // Left the queue; or the lock was taken from a leader that slept; or there are no locks for this page.
      if (queue.signal.aborted) return;
      if (this.#role === "leading") this.#rejoin();
      else this.#goAlone();
    });
  }

  #join(): void {
    this.#role = "joining";
    this.#say({ say: "join", from: this.#id, cursor: this.#history?.cursor ?? null });
    this.#awaitLeader();
  }

  /** Steps down, and waits in the queue for the next time. */
  #rejoin(): void {
    this.#leave();
    this.#enter();
  }

  #lead(): void {
    this.#role = "leading";
    this.#cancelTimer?.();
    this.#history ??= new History("", true);
    this.#say({ say: "lead", cursor: this.#history.cursor });
    this.#connect({
      opened: (url) => {
        this.#say({ say: "opened", url });
        this.#opened(url);
      },
      event: (event) => {
        const step = { before: this.#history!.cursor, event };
        this.#say({ say: "step", step });
        this.#deliver(step);
      },
      failed: (failure) => {
        // Not everything that is thrown can be sent to others.
        const cause = failure.cause instanceof Error ? String(failure.cause) : undefined;
        this.#say({ say: "failed", failure: { ...failure, cause } });
        this.#failed(failure);
      },
      paused() {},
    });
  }

  /**
   * A connection for this tab only, which waits for its consumer. A slow one must not lead: the others would wait
   * with it.
   */
  #goAlone(slow = false): void {
    if (slow) {
      this.#queue.abort();
      this.#releaseLock?.();
      this.#releaseLock = null;
    }
    this.#role = "alone";
    this.#cancelTimer?.();
    this.#history ??= new History("", true);
    this.#connect({
      opened: (url) => this.#opened(url),
      event: (event) => this.#deliver({ before: this.#history!.cursor, event }),
      failed: (failure) => this.#failed(failure),
      paused() {},
      ready: () => this.#sink.ready?.(),
    });
  }

  #connect(sink: Sink): void {
    this.#link?.close();
    const onComment = (text: string): void => {
      if (this.#role === "leading") this.#say({ say: "alive" });
      this.#options.onComment?.(text);
    };
    const own = { pauseWhenHidden: false, lastEventId: this.#history!.cursor, signal: undefined, onComment };
    this.#link = this.#platform.connect(this.#url, { ...this.#options, ...own }, sink);
  }

  #hear(message: Message): void {
    if (message.say === "join") {
      if (this.#role === "leading") this.#answer(message);
      return;
    }
    if (this.#role === "leading") return;
    if (this.#role === "alone") return this.#meet(message);
    if (message.say === "joined" && message.to !== this.#id) return;
    this.#awaitLeader();
    if (message.say === "lead") {
      // A leader that begins at nothing does not go on from there.
      const known = message.cursor !== "" && this.#history?.has(message.cursor);
      if (this.#role === "joining" || (!known && this.#history!.cursor !== message.cursor)) this.#join();
    } else if (message.say === "joined") this.#joined(message);
    else if (this.#role === "joining") return;
    else if (message.say === "opened") this.#opened(message.url);
    else if (message.say === "failed") this.#failed(message.failure);
    else if (message.say === "step") this.#follow(message.step);
  }

  #answer({ from, cursor }: Message & { say: "join" }): void {
    const history = this.#history!;
    // Who comes without a cursor begins now, unless its URL asks for more.
    const wantsAll = cursor === null && new URL(this.#url).searchParams.has("replay");
    const steps = history.after(cursor === null && !wantsAll ? history.cursor : cursor);
    this.#say({ say: "joined", to: from, cursor: history.cursor, steps, url: this.#openAt });
  }

  #joined({ cursor, steps, url }: Message & { say: "joined" }): void {
    if (this.#role !== "joining") return;
    if (steps === null) return this.#goAlone();
    this.#role = "following";
    this.#history ??= new History(steps[0]?.before ?? cursor, steps.length > 0);
    if (url !== null) this.#opened(url);
    for (const step of steps) if (this.#role === "following") this.#follow(step);
  }

  /** An event of the leader's. */
  #follow({ before, event }: Step): void {
    const history = this.#history!;
    const here = before === history.cursor;
    if (!here && !history.has(before)) return this.#join();
    // The leader is behind, and reads again what this tab has had. What is new to both has another id than all of
    // that.
    const isMark = event.lastEventId === before;
    if (here) this.#deliver({ before, event });
    else if (isMark ? event.type.startsWith("sse:") : !history.has(event.lastEventId)) {
      const lastEventId = isMark ? history.cursor : event.lastEventId;
      this.#deliver({ before: history.cursor, event: { ...event, lastEventId } });
    }
  }

  /** Goes back to the others as soon as they are at the same event, and the consumer can keep up with them. */
  #meet(message: Message): void {
    if (message.say !== "step" || this.#sink.ready?.() !== undefined) return;
    const { cursor } = this.#history!;
    const { before, event } = message.step;
    if (before !== cursor && event.lastEventId !== cursor) return;
    this.#link?.close();
    this.#link = null;
    this.#role = "following";
    this.#awaitLeader();
    if (this.#queue.signal.aborted) this.#waitForLock({});
    if (before === cursor) this.#follow(message.step);
  }

  #opened(url: string): void {
    if (this.#openAt === url) return;
    this.#openAt = url;
    this.#sink.opened(url);
  }

  #failed(failure: Failure): void {
    this.#openAt = null;
    if (failure.retryIn === null) this.close();
    this.#sink.failed(failure);
  }

  #deliver(step: Step): void {
    this.#backlog = this.#sink.ready?.() === undefined ? 0 : this.#backlog + 1;
    this.#history!.push(step);
    this.#sink.event(step.event);
    const shares = this.#role === "leading" || this.#role === "following";
    if (shares && this.#backlog > MAX_BACKLOG) this.#goAlone(true);
  }

  /** A leader that says nothing is asked; one that does not answer cannot lead. */
  #awaitLeader(): void {
    this.#cancelTimer?.();
    const { maxSilence, clock } = this.#settings;
    if (maxSilence === 0) return;
    this.#cancelTimer = clock.after(maxSilence, () => {
      this.#say({ say: "join", from: this.#id, cursor: this.#history?.cursor ?? null });
      this.#cancelTimer = clock.after(ANSWER_WITHIN, () => this.#waitForLock({ steal: true }));
    });
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }
}

/** How long a leader has to answer before another takes the lock from it, in milliseconds. */
const ANSWER_WITHIN = 10_000;
/** Events that may wait for a slow consumer before it gets a connection of its own, which can be told to wait. */
const MAX_BACKLOG = 1_000;

/** Who has the same name shares. Its beginning tells the locks of this client from those of the page. */
function nameOf(url: string, options: ConnectionOptions): string {
  const { withCredentials = false, method, body, headers, shared } = options;
  return `sse ${JSON.stringify([url, withCredentials, method, body, headers, shared])}`;
}
