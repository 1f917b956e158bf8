import { Feed, type FeedEntry, type FeedPlatform, type FeedStatus } from "./feed.ts";
import { type FeedName, FEEDS, type FeedSource, streamUrl } from "./feeds-shown.ts";

/** A job speaks several times a second. One that is silent this long is lost. */
const JOB_SILENCE_MS = 15_000;

export interface FeedsOptions {
  readonly platform: FeedPlatform;
  onStatus(name: FeedName, status: FeedStatus): void;
  onEntry(name: FeedName, entry: FeedEntry): void;
  /** A job is followed that was not before. */
  onJob(topic: string): void;
}

/** All feeds of the page. */
export class Feeds {
  readonly #feeds = new Map<FeedName, Feed>();
  readonly #options: FeedsOptions;
  #cancelSilence: (() => void) | null = null;

  constructor(options: FeedsOptions) {
    this.#options = options;
    for (const source of FEEDS) this.#add(source.name, source);
  }

  /** Opens those that the page begins with. */
  open(): void {
    for (const feed of this.#feeds.values()) feed.open();
  }

  /** Asks again at once, for there is a reason to hope for another answer. */
  reopen(): void {
    for (const feed of this.#feeds.values()) {
      if (feed.state === "paused" || feed.state === "idle" || feed.state === "ended") continue;
      feed.close();
      feed.open();
    }
  }

  pause(name: FeedName): void {
    this.#feeds.get(name)?.pause();
  }

  resume(name: FeedName): void {
    this.#feeds.get(name)?.open();
  }

  followJob(topic: string): void {
    // Even of the same topic: a server that started anew counts its jobs anew.
    this.#feeds.get("job")?.close();
    this.#options.onJob(topic);
    this.#add("job", { url: streamUrl([topic], "all") }).open();
  }

  #add(name: FeedName, { url }: Omit<FeedSource, "name">): Feed {
    const { platform } = this.#options;
    const feed = new Feed({
      url,
      platform,
      onStatus: (status) => {
        this.#options.onStatus(name, status);
        if (name === "job") this.#watch(feed);
      },
      onEntry: (entry) => {
        this.#options.onEntry(name, entry);
        if (name !== "job") return;
        if (entry.kind === "gap" && entry.reason === "epoch") feed.pause("lost: the server has restarted");
        else this.#watch(feed);
      },
    });
    this.#feeds.set(name, feed);
    return feed;
  }

  #watch(job: Feed): void {
    this.#cancelSilence?.();
    this.#cancelSilence = job.connected
      ? this.#options.platform.after(JOB_SILENCE_MS, () => job.pause(`silent for ${JOB_SILENCE_MS / 1000} s`))
      : null;
  }
}
