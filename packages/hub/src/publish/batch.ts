import type { EventId } from "../log/event-id.ts";
import type { MaybePromise } from "../log/event-log.ts";
import type { NewEvent } from "../log/new-event.ts";
import { inEvent, type Message, parseMessage } from "./message.ts";
import type { Schemas } from "./schemas.ts";

/**
 * Messages that are checked one by one, and then published together, all or none: a publisher of many can let the event
 * loop go on between two of them. Made by `hub.batch`.
 */
export class Batch {
  readonly #count: number;
  readonly #schemas: Schemas | null;
  readonly #maxEventBytes: number;
  readonly #submit: (events: readonly NewEvent[]) => Promise<readonly EventId[]>;
  /** Those of each message: two, when it ends its topic. */
  readonly #events: NewEvent[][] = [];
  readonly #pending: Promise<void>[] = [];

  constructor(
    count: number,
    schemas: Schemas | null,
    maxEventBytes: number,
    submit: (events: readonly NewEvent[]) => Promise<readonly EventId[]>,
  ) {
    this.#count = count;
    this.#schemas = schemas;
    this.#maxEventBytes = maxEventBytes;
    this.#submit = submit;
  }

  /**
   * Checks the next message. A schema that takes its time is waited for by {@link publish}.
   *
   * @throws HubError for a message that cannot be published, naming its place
   */
  add(message: Message & { topic: string }): void {
    const index = this.#events.length;
    if (index >= this.#count) throw new RangeError(`the batch has its ${this.#count} messages`);
    const { topic } = message; // its owner may change it while a schema takes its time
    const keep = (checked: Message): void => {
      this.#events[index] = parseMessage(topic, checked, this.#maxEventBytes);
    };
    const told = (error: unknown): never => {
      throw inEvent(index, this.#count, error);
    };
    try {
      const checked: MaybePromise<Message> =
        this.#schemas === null ? message : this.#schemas.check(topic, message);
      if (!(checked instanceof Promise)) return keep(checked);
      const kept = checked.then(keep).catch(told);
      kept.catch(() => {}); // nobody waits for it when a later message is refused first
      this.#pending.push(kept);
      this.#events.push([]); // its place
    } catch (error) {
      told(error);
    }
  }

  /**
   * Publishes what was added, in this order, and resolves with an id for each message.
   *
   * @throws HubError as a rejection: what {@link add} throws, from schemas that take their time; `log-failed` or `closed`
   */
  async publish(): Promise<EventId[]> {
    // No wait where there is none: events keep the order in which they are published.
    if (this.#pending.length > 0) await Promise.all(this.#pending);
    const events = this.#events.flat();
    if (events.length === 0) return [];
    const ids = await this.#submit(events);
    if (ids.length === this.#events.length) return ids.slice();
    let place = 0;
    return this.#events.map(({ length }) => {
      const id = ids[place]!;
      place += length;
      return id;
    });
  }
}
