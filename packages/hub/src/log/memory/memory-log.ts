import { type Clock, systemClock } from "../../clock.ts";
import { createEpoch, type Cursor, type EventId, formatEventId } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import type { NewEvent } from "../../publish/message.ts";
import type { Bounds, EventLog, Page, ReadLimits, TailListener } from "../event-log.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import { numberBatch } from "../numbering.ts";
import { limitsOf, type Retention } from "../retention.ts";
import { Tail } from "../tail.ts";
import { RecentEvents } from "../recent-events.ts";

/** 100,000 events, 64 MiB, 24 h. */
export const MEMORY_LOG_DEFAULTS = Object.freeze({
  maxEvents: 100_000,
  maxBytes: 64 * 1024 * 1024,
  maxAge: 24 * 3_600_000,
}) satisfies Retention;

/**
 * The log of one process's memory: nothing survives the process, and every start is a new epoch. Bounded by count,
 * bytes and age; see {@link MEMORY_LOG_DEFAULTS}. Every operation answers at once.
 */
export class MemoryLog implements EventLog {
  readonly fault = null;
  readonly #clock: Clock;
  readonly #epoch: string;
  readonly #window: RecentEvents;
  readonly #tail = new Tail();
  readonly #known = (topic: Topic, idempotencyKey: string): EventId | undefined => {
    const seq = this.#window.published(topic, idempotencyKey);
    return seq === undefined ? undefined : formatEventId(this.#epoch, seq);
  };
  #closed = false;

  /** @throws RangeError when a bound is not a positive number */
  constructor(options: Retention & { clock?: Clock; random?: () => number } = {}) {
    this.#window = new RecentEvents(limitsOf(options, MEMORY_LOG_DEFAULTS));
    this.#clock = options.clock ?? systemClock;
    this.#epoch = createEpoch(options.random ?? Math.random);
  }

  append(batch: readonly NewEvent[]): readonly EventId[] {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    const now = this.#clock.now();
    const { entries, ids } = numberBatch(batch, this.#epoch, this.#window.last, this.#known);
    for (const entry of entries) this.#window.push(entry, now);
    this.#window.evict(now);
    this.#tail.append(entries);
    return ids;
  }

  /** What is too old is gone before anything is answered, also when nothing was appended for long. */
  get #current(): RecentEvents {
    this.#window.evict(this.#clock.now());
    return this.#window;
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): Page {
    return this.#current.read(after, selectors, limits);
  }

  survey(after: Cursor, selectors: SelectorSet): { from: Cursor; events: number } {
    return this.#current.survey(after, selectors);
  }

  rewind(count: number, selectors: SelectorSet): Cursor {
    return this.#current.rewind(count, selectors) ?? this.#window.floor(0, selectors);
  }

  ends(topics: readonly Topic[]): readonly Cursor[] {
    return topics.map((topic) => this.#window.end(topic) ?? 0);
  }

  tail(listener: TailListener): () => void {
    return this.#tail.add(listener);
  }

  bounds(): Bounds {
    const { first, last, events, bytes } = this.#current;
    return { epoch: this.#epoch, first, last, events, bytes };
  }

  close(): void {
    this.#closed = true;
  }
}
