import { type Cursor, type EventId, formatEventId } from "../cursor.ts";
import { endId, type LogEntry, logEntry, type NewEvent } from "../event.ts";
import type { Topic } from "../topic.ts";

/** A publisher's id is its own within its topic. Neither can hold a NUL. */
export function publishKey(topic: Topic, publishId: string): string {
  return `${topic}\0${publishId}`;
}

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
  known: (topic: Topic, publishId: string) => EventId | undefined,
): { entries: LogEntry[]; events: NewEvent[]; ids: EventId[] } {
  const events: NewEvent[] = [];
  const entries: LogEntry[] = [];
  const ids: EventId[] = [];
  /** By publisher's id, what this batch has; null for an end that stands in the log and is to come anew. */
  let fresh: Map<string, EventId | null> | null = null;
  for (const event of batch) {
    const { topic, publishId } = event;
    if (publishId !== "") {
      const own = fresh?.get(publishKey(topic, publishId));
      const id = own === undefined ? known(topic, publishId) : own;
      if (id !== undefined && id !== null) {
        ids.push(id);
        continue;
      }
      fresh ??= new Map();
      fresh.set(publishKey(topic, publishId), formatEventId(epoch, last + 1));
      // A message that comes anew, its event being evicted, ends its topic anew.
      if (!event.end) fresh.set(publishKey(topic, endId(publishId)), null);
    }
    const id = formatEventId(epoch, ++last);
    entries.push(logEntry(epoch, last, event, id));
    events.push(event);
    ids.push(id);
  }
  return { entries, events, ids };
}
