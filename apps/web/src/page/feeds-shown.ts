/** One line per feed of the page. The names are the page's `data-feed` hooks. */
export const FEEDS = [
  // The last 30 numbers draw the line at once; they stay true however old they are. A replayed clock would lie.
  { name: "random", topic: "demo/random", replay: "30" },
  { name: "clock", topic: "demo/clock", replay: null },
  { name: "ticker", topic: "demo/ticker", replay: null },
  { name: "status", topic: "demo/status", replay: "1" },
  { name: "board", topic: "default", replay: "20" },
] as const satisfies readonly FeedSource[];

/** What a feed subscribes to. `replay` is for a feed without a cursor: `all`, the last N, or null for none. */
export interface FeedSource {
  readonly name: string;
  readonly topic: string;
  readonly replay: string | null;
}

/** The job's feed has no fixed topic: every job that is started brings its own. */
export type FeedName = (typeof FEEDS)[number]["name"] | "job";
