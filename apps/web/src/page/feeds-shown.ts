/** What a feed subscribes to. */
export interface FeedSource {
  readonly name: string;
  /** Where its stream is, with the topics that it asks for, and what to begin with. */
  readonly url: string;
}

/** The topics of the first feed: their events differ in type or shape, so one stream is enough for all. */
const DEMO_TOPICS = ["demo/random", "demo/clock", "demo/ticker"] as const;

/**
 * The streams that all tabs of the page share. Three, because a browser allows HTTP/1.1 six connections to a host: one
 * is for a job, one for the explorer or an experiment, and the sixth is for requests, which must never wait for ever.
 */
export const FEEDS = [
  // Enough to hold the last half minute of random numbers among the others; they stay true however old they are.
  { name: "demos", url: streamUrl(DEMO_TOPICS, "100") },
  { name: "board", url: streamUrl(["default"], "20") },
  { name: "stats", url: "/stats/events?replay=all" },
] as const satisfies readonly FeedSource[];

/** The job's feed has no fixed topic: every job that is started brings its own. */
export type FeedName = (typeof FEEDS)[number]["name"] | "job";

/** The URL of a stream of topics. `replay` is `all` or the last N. */
export function streamUrl(topics: readonly string[], replay: string): string {
  const named = topics.map((topic): [string, string] => ["topic", topic]);
  return `/events?${new URLSearchParams([...named, ["replay", replay]])}`;
}
