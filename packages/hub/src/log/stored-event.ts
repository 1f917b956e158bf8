import { encodeEvent } from "@sse/protocol";
import { endEvent } from "../control-events.ts";
import type { Topic } from "../topics/topic.ts";
import { type Cursor, type EventId, formatEventId } from "./event-id.ts";
import type { NewEvent } from "./new-event.ts";

/** An event as the log keeps it. */
export interface StoredEvent {
  /** Its number in the log. */
  readonly seq: Cursor;
  /** Where it was published. */
  readonly topic: Topic;
  /** What it is about within its topic, "" when the publisher did not say. */
  readonly key: string;
  /** The publisher's id, "" when it gave none. */
  readonly idempotencyKey: string;
  /** True for the event that ends its topic. */
  readonly end: boolean;
  /** True when its data was published as a JSON value other than a string. */
  readonly json: boolean;
  /** The encoded event, id line included: made once, the same for every stream. */
  readonly wire: string;
  /** UTF-8 bytes of `wire`. */
  readonly bytes: number;
}

/** The event with the number that the log gave it, encoded once for all its streams. */
export function storedEvent(
  epoch: string,
  seq: Cursor,
  event: NewEvent,
  id: EventId = formatEventId(epoch, seq),
): StoredEvent {
  const { topic, key, idempotencyKey, end, json } = event;
  if (end) {
    const wire = endEvent(id, topic);
    return { seq, topic, key, idempotencyKey, end, json, wire, bytes: Buffer.byteLength(wire) };
  }
  const { type, data } = event;
  // The id is ours, and needs no check. Counting the bytes of the parts leaves the engine free to put the text together
  // when it is first sent, with the rest of its frame.
  const wire =
    type === "" && !data.includes("\n") && !data.includes("\r")
      ? `data: ${data}\nid: ${id}\n\n`
      : encodeEvent({ event: type, data, id });
  const bytes = wire.length + extraUtf8Bytes(data) + (type === "" ? 0 : extraUtf8Bytes(type));
  return { seq, topic, key, idempotencyKey, end, json, wire, bytes };
}

/** By how much the UTF-8 bytes of a text are more than its length. */
function extraUtf8Bytes(text: string): number {
  return Buffer.byteLength(text) - text.length;
}
