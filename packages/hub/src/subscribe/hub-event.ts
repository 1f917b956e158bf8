import type { ServerSentEvent } from "@sse/protocol";
import type { ClosingReason, GapReason, Resume } from "../control-events.ts";
import type { StoredEvent } from "../log/stored-event.ts";

/**
 * What {@link Hub.iterate} yields: an event, or what the hub has to say between events. Each kind has fields of its own, so that
 * code which takes the `data` of an event has to look at the `kind` first, and does not take a gap for nothing.
 */
export type HubEvent =
  | {
      readonly kind: "event";
      /** Resumes after it, as `lastEventId`. */
      readonly id: string;
      readonly topic: string;
      /** "message" where the publisher gave none. */
      readonly type: string;
      /** What the event is about within its topic; left out where the publisher did not say. */
      readonly key?: string;
      /** As it goes over the wire: JSON text, where it was published as anything but a string. */
      readonly data: string;
    }
  /** The first, unless that is `closing`. Its `id` is where the iteration starts: who has seen nothing else resumes after it without a hole. */
  | { readonly kind: "ready"; readonly id: string; readonly resume: Resume; readonly replayed: number }
  /** Events that should stand here, after `from`, can no longer be had; `from` is null for an id that is not the hub's. */
  | { readonly kind: "gap"; readonly id: string; readonly reason: GapReason; readonly from: string | null }
  /** The topic has ended. When all have, the iteration is done. */
  | { readonly kind: "end"; readonly id: string; readonly topic: string }
  /** The last of all: the hub ends the iteration. Come back after `retry` milliseconds, with this `id` unless it is "". */
  | {
      readonly kind: "closing";
      readonly id: string;
      readonly reason: ClosingReason;
      readonly retry: number;
    };

/** From what a client would see. @param stored the event of the log, where it is one */
export function hubEvent(
  { type, data, lastEventId: id }: ServerSentEvent,
  stored: StoredEvent | undefined,
): HubEvent {
  switch (type) {
    case "sse:ready": {
      const { resume, replayed } = JSON.parse(data) as { resume: Resume; replayed: number };
      return { kind: "ready", id, resume, replayed };
    }
    case "sse:gap": {
      const { reason, from } = JSON.parse(data) as { reason: GapReason; from: string | null };
      return { kind: "gap", id, reason, from };
    }
    case "sse:end":
      return { kind: "end", id, topic: (JSON.parse(data) as { topic: string }).topic };
    case "sse:closing": {
      const { reason, retry } = JSON.parse(data) as { reason: ClosingReason; retry: number };
      return { kind: "closing", id, reason, retry };
    }
    default: {
      const { topic, key } = stored!;
      return { kind: "event", id, topic, type, ...(key !== "" && { key }), data };
    }
  }
}

/**
 * The fields for whoever writes the wire format itself: Hono's `writeSSE`, h3's `push`, Fastify's `reply.sse`. Clients see what
 * they would see of a stream of the hub, `sse:gap` and the like included.
 */
export function toServerSentEvent(event: HubEvent): { id: string; event?: string; data: string } {
  if (event.kind === "event") {
    const { id, type, data } = event;
    return { id, ...(type !== "message" && { event: type }), data };
  }
  const { id, kind, ...data } = event;
  return { id, event: `sse:${kind}`, data: JSON.stringify(kind === "gap" ? { ...data, to: id } : data) };
}
