import { type Cursor, type EventId, formatEventId } from "./event-id.ts";
import { endId, type NewEvent } from "./new-event.ts";
import { type StoredEvent, storedEvent } from "./stored-event.ts";
import type { Topic } from "../topics/topic.ts";

/**
 * Numbers the events of a batch that a log does not hold yet, and answers with an id for each of the batch.
 *
 * @param last the number of the log's last event
 * @param known the id of the event that the log holds under this topic and publisher's id
 */
export function numberBatch(
  batch: readonly NewEvent[],
  epoch: string,
  last: Cursor,
  known: (topic: Topic, idempotencyKey: string) => EventId | undefined,
): { entries: StoredEvent[]; events: NewEvent[]; ids: EventId[] } {
  const events: NewEvent[] = [];
  const entries: StoredEvent[] = [];
  const ids: EventId[] = [];
  /** By publisher's id, what this batch has; null for an end that stands in the log and is to come anew. */
  let fresh: Map<string, EventId | null> | null = null;
  for (const event of batch) {
    const { topic, idempotencyKey } = event;
    if (idempotencyKey !== "") {
      const own = fresh?.get(idempotencyName(topic, idempotencyKey));
      const id = own === undefined ? known(topic, idempotencyKey) : own;
      if (id !== undefined && id !== null) {
        ids.push(id);
        continue;
      }
      fresh ??= new Map();
      fresh.set(idempotencyName(topic, idempotencyKey), formatEventId(epoch, last + 1));
      // A message that comes anew, its event being evicted, ends its topic anew.
      if (!event.end) fresh.set(idempotencyName(topic, endId(idempotencyKey)), null);
    }
    const id = formatEventId(epoch, ++last);
    entries.push(storedEvent(epoch, last, event, id));
    events.push(event);
    ids.push(id);
  }
  return { entries, events, ids };
}

/** A publisher's id is its own within its topic. Neither can hold a NUL. */
export function idempotencyName(topic: Topic, idempotencyKey: string): string {
  return `${topic}\0${idempotencyKey}`;
}
