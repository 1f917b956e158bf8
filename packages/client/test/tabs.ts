import type { ServerSentEvent } from "@sse/protocol";
import type { ConnectionOptions, Failure } from "../src/index.ts";
import { connect } from "../src/connection.ts";
import { settingsOf } from "../src/options.ts";
import { watchPage } from "../src/page.ts";
import { Member } from "../src/shared/member.ts";
import type { Locks, SharingPlatform } from "../src/shared/platform.ts";
import { ManualClock } from "./manual-clock.ts";

/** Channels that deliver when the test says so, in the order of each sender, and a lock: a browser with many tabs. */
export class Browser {
  readonly clock = new ManualClock();
  readonly tabs: Tab[] = [];
  #queue: { held: boolean; grant: () => void; take: () => void }[] = [];

  /** The lock of the one URL that tests share. */
  readonly locks: Locks = {
    request: (_, { signal, steal }, whenHeld) =>
      new Promise((resolve, reject) => {
        const leave = (): void => {
          this.#queue = this.#queue.filter((each) => each !== entry);
          this.#queue[0]?.grant();
        };
        const entry = {
          held: false,
          grant: () => {
            if (entry.held) return;
            entry.held = true;
            void Promise.resolve()
              .then(whenHeld)
              .then((value) => {
                leave();
                resolve(value);
              });
          },
          take: () => {
            this.#queue = this.#queue.filter((each) => each !== entry);
            reject(new DOMException("stolen", "AbortError"));
          },
        };
        signal?.addEventListener("abort", () => {
          if (entry.held) return;
          leave();
          reject(new DOMException("left", "AbortError"));
        });
        if (steal) {
          this.#queue[0]?.take();
          this.#queue.unshift(entry);
        } else this.#queue.push(entry);
        this.#queue[0]!.grant();
      }),
  };

  open(url: string, options: ConnectionOptions = {}): Tab {
    const tab = new Tab(this, url, options);
    this.tabs.push(tab);
    return tab;
  }

  /** Frees the lock of a tab that is no more, without a word from it. */
  forget(): void {
    this.#queue.shift();
    this.#queue[0]?.grant();
  }

  /** Delivers all that tabs have posted, and what they post at that. */
  deliver(): void {
    for (let any = true; any;) {
      any = false;
      for (const tab of this.tabs) if (!tab.hung) any = tab.deliverOne() || any;
    }
  }
}

/** A tab with one user of the shared connection. */
export class Tab {
  readonly events: ServerSentEvent[] = [];
  readonly states: string[] = [];
  /** Nothing runs in it, and nobody knows. */
  hung = false;
  /** Its consumer is busy. */
  busy: Promise<void> | undefined;
  readonly member: Member;
  readonly #browser: Browser;
  readonly #inbox: MessageEvent[] = [];
  #hear: ((event: MessageEvent) => void) | null = null;

  constructor(browser: Browser, url: string, options: ConnectionOptions) {
    this.#browser = browser;
    const { locks, clock } = browser;
    const openChannel = (): BroadcastChannel => this.#channel();
    const Channel = function () {
      return openChannel();
    } as unknown as SharingPlatform["Channel"];
    const platform = { locks, Channel, connect, watchPage };
    const sink = {
      opened: () => void this.states.push("open"),
      event: (event: ServerSentEvent) => void this.events.push(event),
      failed: ({ code }: Failure) => void this.states.push(code),
      paused: () => void this.states.push("paused"),
      ready: () => this.busy,
    };
    const all = { clock, random: () => 0, ...options };
    this.member = new Member(url, all, settingsOf(all), sink, platform);
  }

  /** The data of what is no event of the hub's. */
  get data(): string[] {
    return this.events.filter(({ type }) => !type.startsWith("sse:")).map(({ data }) => data);
  }

  deliverOne(): boolean {
    const message = this.#inbox.shift();
    if (message !== undefined) this.#hear?.(message);
    return message !== undefined;
  }

  /** Loses what is on its way to this tab. */
  lose(): void {
    this.#inbox.length = 0;
  }

  /** The renderer is gone: no word to anybody. */
  crash(): void {
    this.#hear = null;
    this.hung = true;
    this.#browser.forget();
  }

  #channel(): BroadcastChannel {
    const channel = {
      addEventListener: (_: string, hear: (event: MessageEvent) => void) => (this.#hear = hear),
      postMessage: (data: unknown) => {
        if (this.hung) return;
        const message = new MessageEvent("message", { data: structuredClone(data) });
        for (const tab of this.#browser.tabs)
          if (tab !== this && tab.#hear !== null) tab.#inbox.push(message);
      },
      close: () => {
        this.#hear = null;
        this.#inbox.length = 0;
      },
    };
    return channel as unknown as BroadcastChannel;
  }
}
