import type { FeedEntry, FeedSnapshot, FeedStatus } from "./feed.ts";
import type { FeedName } from "./feeds-shown.ts";

/** What a tab asks of the feeds. `join` asks for a snapshot; `here` says that the tab still lives. */
export type Command =
  | { readonly do: "join" | "here" | "leave" }
  | { readonly do: "pause" | "resume"; readonly feed: FeedName }
  | { readonly do: "follow-job"; readonly topic: string };

/** What the feeds tell every tab. Plain data, so that it can cross to another thread. */
export type Message =
  | { readonly tell: "snapshot"; readonly snapshot: FeedSnapshot }
  | { readonly tell: "status"; readonly feed: FeedName; readonly status: FeedStatus }
  | { readonly tell: "entry"; readonly feed: FeedName; readonly entry: FeedEntry }
  | { readonly tell: "tabs"; readonly count: number };
