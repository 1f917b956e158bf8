import type { FeedEntry } from "./feed.ts";

export type EventEntry = Extract<FeedEntry, { kind: "event" }>;

/** The entries that are events: what is left when gaps are set aside. */
export function events(entries: readonly FeedEntry[]): EventEntry[] {
  return entries.filter((entry) => entry.kind === "event");
}
