import { EventSource } from "@sse/client";
import type { EventSourceLike } from "./feed.ts";
import { authorization } from "./token.ts";

/** Opens a stream that all tabs of this page share: one of them has the connection, and tells the others. */
export function openSharedSource(url: string, cursor: string): EventSourceLike {
  return new EventSource(url, { shared: true, headers: authorization, lastEventId: cursor });
}
