import { Feed, type FeedPlatform } from "./feed.ts";
import { type FeedName, FEEDS, type FeedSource } from "./feeds-shown.ts";
import type { Command, Message } from "./messages.ts";

/** The feed that gives its connection to a job: it speaks least, and resumes without a loss. */
const YIELDING: FeedName = "status";

/** A job speaks several times a second. One that is silent this long is lost. */
const JOB_SILENCE_MS = 15_000;

/**
 * All feeds of the page. A browser allows HTTP/1.1 six connections to a host over all its tabs; five feeds and a job
 * would take the last one, and every POST would wait for ever. So the slowest feed is held while a job is followed.
 */
export class Feeds {
  readonly #feeds = new Map<FeedName, Feed>();
  readonly #platform: FeedPlatform;
  readonly #tell: (message: Message) => void;
  #holding = false;
  #cancelSilence: (() => void) | null = null;

  constructor(platform: FeedPlatform, tell: (message: Message) => void) {
    this.#platform = platform;
    this.#tell = tell;
    for (const source of FEEDS) this.#add(source.name, source).open();
  }

  snapshots(): Message[] {
    return [...this.#feeds.values()].map((feed) => ({ tell: "snapshot", snapshot: feed.snapshot() }));
  }

  run(command: Command): void {
    if (command.do === "follow-job") this.#followJob(command.topic);
    else if (command.do === "pause") this.#feeds.get(command.feed)?.pause();
    // A held feed is not the reader's to resume: it would take the connection that POSTs need.
    else if (command.do === "resume" && !(this.#holding && command.feed === YIELDING))
      this.#feeds.get(command.feed)?.open();
  }

  #followJob(topic: string): void {
    // Even of the same topic: a server that started anew counts its jobs anew.
    this.#feeds.get("job")?.close();
    const feed = this.#add("job", { topic, replay: "all" });
    this.#tell({ tell: "snapshot", snapshot: feed.snapshot() });
    feed.open();
  }

  #add(name: FeedName, { topic, replay }: Pick<FeedSource, "topic" | "replay">): Feed {
    const feed = new Feed({
      name,
      topic,
      replay,
      platform: this.#platform,
      onStatus: (status) => {
        this.#tell({ tell: "status", feed: name, status });
        // A feed says that it is connecting before it connects, so there are never six, not for a moment.
        if (name === "job") this.#settle(feed);
      },
      onEntry: (entry) => {
        this.#tell({ tell: "entry", feed: name, entry });
        if (name !== "job") return;
        if (entry.kind === "gap" && entry.reason === "epoch") feed.pause("lost: the server has restarted");
        else this.#watch(feed);
      },
    });
    this.#feeds.set(name, feed);
    return feed;
  }

  #settle(job: Feed): void {
    this.#watch(job);
    if (job.active) this.#hold();
    else this.#release();
  }

  #watch(job: Feed): void {
    this.#cancelSilence?.();
    this.#cancelSilence = job.connected
      ? this.#platform.after(JOB_SILENCE_MS, () => job.pause(`silent for ${JOB_SILENCE_MS / 1000} s`))
      : null;
  }

  #hold(): void {
    const feed = this.#feeds.get(YIELDING)!;
    if (this.#holding || !feed.active) return;
    this.#holding = true;
    feed.pause("while the job runs", true);
  }

  #release(): void {
    if (!this.#holding) return;
    this.#holding = false;
    this.#feeds.get(YIELDING)!.open();
  }
}
