import type { EventId } from "../log/event-id.ts";
import type { MaybePromise } from "../log/event-log.ts";
import type { NewEvent } from "../log/new-event.ts";
import { HubError } from "../errors.ts";
import { inEvent, type Message, parseMessage } from "./message.ts";
import type { Schemas } from "./schemas.ts";

/**
 * Messages that are checked one by one, and then published together, all or none: a publisher of many can let the event
 * loop go on between two of them. Made by `hub.batch`.
 */
export class Batch {
  readonly #most: number;
  readonly #schemas: Schemas | null;
  readonly #maxEventBytes: number;
  readonly #submit: (events: readonly NewEvent[]) => Promise<readonly EventId[]>;
  readonly #events: NewEvent[] = [];
  /** Where the events of each message begin: it is two, when it ends its topic. */
  readonly #places: number[] = [];
  /** From the first message on that a schema takes its time for: the events of each. */
  readonly #late: MaybePromise<NewEvent[]>[] = [];

  /** @param most messages */
  constructor(
    most: number,
    schemas: Schemas | null,
    maxEventBytes: number,
    submit: (events: readonly NewEvent[]) => Promise<readonly EventId[]>,
  ) {
    this.#most = most;
    this.#schemas = schemas;
    this.#maxEventBytes = maxEventBytes;
    this.#submit = submit;
  }

  /** Messages that were added. */
  get size(): number {
    return this.#places.length + this.#late.length;
  }

  /**
   * Checks the next message. A schema that takes its time is waited for by {@link publish}.
   *
   * @throws HubError for a message that cannot be published, naming its place; `too-large` for more than `maxBatch`
   */
  add(message: Message & { topic: string }): void {
    const index = this.size;
    if (index === this.#most)
      throw new HubError(
        "too-large",
        `there are more than ${this.#most} events, the limit; send them in parts`,
      );
    const { topic } = message; // its owner may change it while a schema takes its time
    try {
      const checked: MaybePromise<Message> =
        this.#schemas === null ? message : this.#schemas.check(topic, message);
      if (checked instanceof Promise) this.#addLate(index, topic, checked);
      else if (this.#late.length > 0) this.#late.push(parseMessage(topic, checked, this.#maxEventBytes));
      else {
        const place = this.#events.length;
        parseMessage(topic, checked, this.#maxEventBytes, this.#events);
        this.#places.push(place);
      }
    } catch (error) {
      throw inEvent(index, error);
    }
  }

  #addLate(index: number, topic: string, checked: Promise<Message>): void {
    const events = checked
      .then((message) => parseMessage(topic, message, this.#maxEventBytes))
      .catch((error: unknown) => {
        throw inEvent(index, error);
      });
    events.catch(() => {}); // nobody waits for it when a later message is refused first
    this.#late.push(events);
  }

  /**
   * Publishes what was added, in this order, and resolves with an id for each message.
   *
   * @throws HubError as a rejection: what {@link add} throws, from schemas that take their time; `log-failed`, `log-unanswered` or `closed`
   */
  async publish(): Promise<EventId[]> {
    const events = this.#events;
    const places = this.#places;
    // No wait where there is none: events keep the order in which they are published.
    for (const late of this.#late) {
      places.push(events.length);
      events.push(...(late instanceof Promise ? await late : late));
    }
    if (events.length === 0) return [];
    const ids = await this.#submit(events);
    return ids.length === places.length ? ids.slice() : places.map((place) => ids[place]!);
  }
}
