import { encodeEvent } from "@sse/protocol";
import type { EventId } from "./log/event-id.ts";
import type { Topic } from "./topics/topic.ts";

/** How a stream begins: new, where the client left off, or somewhere else than the client asked for. */
export type Resume = "fresh" | "resumed" | "reset";

/** Why events are missing: evicted from the log, of another epoch of it, asked for by no id of ours, or dropped for lag. */
export type GapReason = "evicted" | "epoch" | "unknown-id" | "lag";

/** Why the hub closes a stream that the client did not close. */
export type ClosingReason = "drain" | "slow" | "max-age" | "auth-expired";

/** Why a stream has closed: the client left, all topics have ended, the sink or the log failed, or the hub closed it. */
export type CloseReason = "client" | "ended" | "error" | ClosingReason;

/*
 * What the hub itself says in a stream, in the order of all events: `id` is the last field, because clients in wide use store an
 * id before its event is whole. Every one of these events has data, because an event without data is never
 * dispatched (WHATWG HTML 9.2.6), and an id that never moves a client backwards.
 */

/** Opens every stream; its id is the cursor that the stream starts from, so that a client which drops at once resumes. */
export function readyEvent(
  id: EventId,
  retry: number,
  data: { resume: Resume; replayed: number; reason?: GapReason },
): string {
  // Written out, because it is what a storm of reconnecting clients waits for: nothing in it can hold a line end.
  const { resume, replayed, reason } = data;
  const json = `{"resume":"${resume}","replayed":${replayed}${reason === undefined ? "" : `,"reason":"${reason}"`}}`;
  return `event: sse:ready\nretry: ${retry}\ndata: ${json}\nid: ${id}\n\n`;
}

/** Stands before the first event after a hole; its id is `to`, so that the next reconnect is a clean resume. */
export function gapEvent(reason: GapReason, from: string | null, to: EventId): string {
  return encodeEvent({ event: "sse:gap", id: to, data: JSON.stringify({ reason, from, to }) });
}

export function endEvent(id: EventId, topic: Topic): string {
  return encodeEvent({ event: "sse:end", id, data: JSON.stringify({ topic }) });
}

/** @param id where the client left off; "" leaves it as it is */
export function closingEvent(id: string, reason: ClosingReason, retry: number): string {
  const data = JSON.stringify({ reason, retry });
  return encodeEvent({ event: "sse:closing", retry, data, ...(id !== "" && { id }) });
}

/**
 * Control events as comments, for readers that take every `data:` for theirs. Reconnection time and id stay fields: at the
 * blank line they count, and nothing is dispatched (WHATWG HTML 9.2.6).
 */
export function asComments(text: string): string {
  return text.replace(CONTROL_EVENT, ": $1 $3\n$2");
}

const CONTROL_EVENT = /^event: (sse:[a-z]+)\n(retry: \d+\n)?data: ([^\n]*)\n/gm;

/**
 * A comment: keeps proxies from closing a quiet connection (WHATWG HTML 9.2.7), and finds out who is gone. Without a blank
 * line, on which decoders in wide use dispatch an empty event.
 */
export const HEARTBEAT = ":\n";
