import { type Clock, systemClock } from "../../clock.ts";
import { createEpoch, type Cursor, type EventId, formatEventId } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import type { NewEvent } from "../new-event.ts";
import type {
  Bounds,
  EventLog,
  MaybePromise,
  Page,
  Position,
  PositionRequest,
  ReadLimits,
  TailListener,
} from "../event-log.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import { parseLastEventId } from "../last-event-id.ts";
import { numberBatch } from "../numbering.ts";
import { limitsOf, type Retention } from "../retention.ts";
import { TailListeners } from "../tail-listeners.ts";
import { RecentEvents } from "../recent-events.ts";

/**
 * The log of one process's memory: nothing survives the process, and every start is a new epoch. Bounded by count,
 * bytes and age; see {@link MEMORY_LOG_DEFAULTS}. Every operation answers at once,
 * but the question where a stream with many patterns begins.
 */
export class MemoryLog implements EventLog {
  readonly fault = null;
  readonly #clock: Clock;
  readonly #epoch: string;
  readonly #recent: RecentEvents;
  readonly #tail = new TailListeners();
  readonly #known = (topic: Topic, idempotencyKey: string): EventId | undefined => {
    const seq = this.#recent.published(topic, idempotencyKey);
    return seq === undefined ? undefined : formatEventId(this.#epoch, seq);
  };
  #closed = false;

  /** @throws RangeError when a bound is not a positive number */
  constructor(options: Retention & { clock?: Clock; random?: () => number } = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#recent = new RecentEvents(limitsOf(options, MEMORY_LOG_DEFAULTS), this.#clock);
    this.#epoch = createEpoch(options.random ?? Math.random);
  }

  append(batch: readonly NewEvent[]): readonly EventId[] {
    if (this.#closed) throw new HubError("closed", "the log is closed");
    const now = this.#clock.now();
    this.#recent.evict(now); // an event that is too old answers no repeat
    const { entries, ids } = numberBatch(batch, this.#epoch, this.#recent.last, this.#known);
    for (const entry of entries) this.#recent.push(entry, now);
    this.#recent.evict(now);
    this.#tail.append(entries);
    return ids;
  }

  /** What is too old is gone before anything is answered, also when nothing was appended for long. */
  get #evicted(): RecentEvents {
    this.#recent.evict(this.#clock.now());
    return this.#recent;
  }

  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): Page {
    return this.#evicted.read(after, selectors, limits);
  }

  position(request: PositionRequest): MaybePromise<Position> {
    const bounds = this.bounds();
    const lastSeen = parseLastEventId(request.lastEventId, bounds);
    return this.#recent.position(lastSeen, request, bounds, null);
  }

  tail(listener: TailListener): () => void {
    return this.#tail.add(listener);
  }

  bounds(): Bounds {
    const { first, last, events, bytes } = this.#evicted;
    return { epoch: this.#epoch, first, last, events, bytes };
  }

  close(): void {
    this.#closed = true;
  }
}

/** 100,000 events, 64 MiB, 24 h. */
export const MEMORY_LOG_DEFAULTS = Object.freeze({
  maxEvents: 100_000,
  maxBytes: 64 * 1024 * 1024,
  maxAge: 24 * 3_600_000,
}) satisfies Retention;
