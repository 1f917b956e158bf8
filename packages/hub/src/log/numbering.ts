import { type Cursor, type EventId, formatEventId } from "./event-id.ts";
import { endId, type NewEvent } from "./new-event.ts";
import { type StoredEvent, storedEvent } from "./stored-event.ts";
import type { Topic } from "../topics/topic.ts";

/** Numbers the events of a batch that a log does not hold yet, and finds an id for each of the batch. */
export class BatchNumbering {
  /** Those that the log does not hold. */
  readonly events: NewEvent[] = [];
  /** The same, numbered. */
  readonly entries: StoredEvent[] = [];
  /** One for each of the batch. */
  readonly ids: EventId[] = [];
  readonly #epoch: string;
  readonly #known: (topic: Topic, idempotencyKey: string) => EventId | undefined;
  #last: Cursor;
  /** By publisher's id, what this batch has; null for an end that stands in the log and is to come anew. */
  #fresh: Map<string, EventId | null> | null = null;

  /**
   * @param last the number of the log's last event
   * @param known the id of the event that the log holds under this topic and publisher's id
   */
  constructor(
    epoch: string,
    last: Cursor,
    known: (topic: Topic, idempotencyKey: string) => EventId | undefined,
  ) {
    this.#epoch = epoch;
    this.#last = last;
    this.#known = known;
  }

  /** Takes the next event of the batch. */
  add(event: NewEvent): void {
    const { topic, idempotencyKey } = event;
    if (idempotencyKey !== "") {
      const own = this.#fresh?.get(idempotencyName(topic, idempotencyKey));
      const id = own === undefined ? this.#known(topic, idempotencyKey) : own;
      if (id !== undefined && id !== null) {
        this.ids.push(id);
        return;
      }
      this.#fresh ??= new Map();
      this.#fresh.set(idempotencyName(topic, idempotencyKey), formatEventId(this.#epoch, this.#last + 1));
      // A message that comes anew, its event being evicted, ends its topic anew.
      if (!event.end) this.#fresh.set(idempotencyName(topic, endId(idempotencyKey)), null);
    }
    const id = formatEventId(this.#epoch, ++this.#last);
    this.entries.push(storedEvent(this.#epoch, this.#last, event, id));
    this.events.push(event);
    this.ids.push(id);
  }
}

/** {@link BatchNumbering} of a whole batch. */
export function numberBatch(
  batch: readonly NewEvent[],
  ...given: ConstructorParameters<typeof BatchNumbering>
): BatchNumbering {
  const numbering = new BatchNumbering(...given);
  for (const event of batch) numbering.add(event);
  return numbering;
}

/** A publisher's id is its own within its topic. Neither can hold a NUL. */
export function idempotencyName(topic: Topic, idempotencyKey: string): string {
  return `${topic}\0${idempotencyKey}`;
}
