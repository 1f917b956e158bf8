/** What the explorer's form asks for. */
export interface ExplorerQuery {
  readonly selectors: readonly string[];
  /** `all`, a number, or "" for none. */
  readonly replay: string;
  readonly lag: string;
  /** The id to resume from, "" for none. */
  readonly from: string;
}

/** Reads selectors that are parted by spaces, commas or lines. A comma can be part of a topic only in a URL. */
export function parseSelectors(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((selector) => selector !== ""))];
}

/** The stream of a query. A reader that resumes is not given the replay. */
export function explorerUrl({ selectors, replay, lag }: ExplorerQuery): string {
  const query = new URLSearchParams(selectors.map((selector): [string, string] => ["topic", selector]));
  if (replay !== "") query.set("replay", replay);
  if (lag !== "" && lag !== "catch-up") query.set("lag", lag);
  return `/events?${query}`;
}
