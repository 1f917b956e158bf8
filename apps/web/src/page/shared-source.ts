import { AllEventsSource } from "./all-events-source.ts";
import type { Source } from "./feed.ts";

/** Whatever a server may refuse with: a feed asks again, for the server may be told better, or the page given a token. */
const REFUSALS = Array.from({ length: 200 }, (_, index) => 400 + index);

/** Opens a stream that all tabs of this page share: one of them has the connection, and tells the others. */
export function openSharedSource(url: string, cursor: string, hear: (event: Event) => void): Source {
  return new AllEventsSource(url, { shared: true, lastEventId: cursor, retryStatuses: REFUSALS }, hear);
}
