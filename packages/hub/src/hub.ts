import type { Clock } from "./clock.ts";
import { endEvent, type GapReason, gapEvent, readyEvent, type Resume } from "./control.ts";
import { type Cursor, type EventId, parseEventId } from "./cursor.ts";
import { type Counters, Delivery } from "./delivery.ts";
import { HubError } from "./errors.ts";
import { type Message, type NewEvent, parseMessage } from "./event.ts";
import type { Bounds, MaybePromise } from "./log.ts";
import { type HubOptions, type HubSettings, resolveOptions } from "./options.ts";
import type { Sink } from "./sink.ts";
import type { LagPolicy, Stream } from "./stream.ts";
import { startSweep } from "./sweep.ts";
import { parseTopic, SelectorSet } from "./topic.ts";

/** What a client asks for. */
export interface StreamRequest {
  /** Topics and patterns. */
  topics: readonly string[];
  /** The id of the last event that the client has seen; "" and undefined: it has seen none. */
  lastEventId?: string | undefined;
  /** For a client without a cursor: all that the log holds, the last N events, or none, which is the default. */
  replay?: "all" | number | undefined;
  /** Default `catch-up`. */
  lag?: LagPolicy | undefined;
}

/** Where a stream begins, and what it is told about that. Found by {@link Hub.locate}. */
export interface Start {
  readonly selectors: SelectorSet;
  readonly lag: LagPolicy;
  readonly cursor: Cursor;
  readonly resume: Resume;
  /** Selected events that are there after the cursor. */
  readonly replayed: number;
  readonly gap: { readonly reason: GapReason; readonly from: string | null } | null;
  /** By topic, in the order of the selectors: the event that ended it, or 0. */
  readonly ends: readonly Cursor[];
  /** True when the client has had all that there is and all its topics have ended: tell it to stay away (204). */
  readonly over: boolean;
}

export interface HubStats {
  streams: number;
  cohorts: number;
  /** By state. */
  catchingUp: number;
  blocked: number;
  /** Events that the log took from publishers of this hub. */
  published: number;
  /** See {@link Counters}. */
  deliveries: number;
  bytes: number;
  heartbeats: number;
  gaps: Counters["gaps"];
  closes: Counters["closes"];
  log: Bounds;
}

interface Publication {
  readonly events: readonly NewEvent[];
  readonly resolve: (ids: readonly EventId[]) => void;
  readonly reject: (error: unknown) => void;
}

const LAG_POLICIES: readonly unknown[] = ["catch-up", "latest", "disconnect"] satisfies LagPolicy[];
/** Parts in which the streams are closed, so that neither the closes nor the reconnects come all at once. */
const CLOSING_PARTS = 20;

function after<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/**
 * Takes events from publishers, keeps them in its log, and fans them out to streams.
 *
 * Events that are published in one turn of the event loop are appended together and reach each stream in one write.
 */
export class Hub {
  readonly #settings: HubSettings;
  readonly #clock: Clock;
  readonly #delivery: Delivery;
  readonly #stopSweep: () => void;
  readonly #stopTail: () => void;
  #publications: Publication[] = [];
  #turnDue = false;
  #published = 0;
  #closing: Promise<void> | null = null;

  constructor(options: HubOptions = {}) {
    this.#settings = resolveOptions(options);
    this.#clock = this.#settings.clock;
    this.#delivery = new Delivery(this.#settings, () => this.#takeTurn());
    this.#stopTail = this.#settings.log.tail((entries) => this.#delivery.route(entries));
    this.#stopSweep = startSweep(this.#delivery, this.#settings);
  }

  /** True once {@link close} was called: nothing is published or opened any more. */
  get closing(): boolean {
    return this.#closing !== null;
  }

  /**
   * Publishes one event. Resolves with its id once the log keeps it.
   *
   * @throws HubError (as a rejection) for a bad topic or message, or when the hub is closing
   */
  async publish(topic: string, message: Message): Promise<EventId> {
    const ids = await this.#submit(parseMessage(topic, message, this.#settings.maxEventBytes));
    return ids[0]!;
  }

  /** Publishes all or nothing, in this order, and resolves with an id for each message. */
  async publishMany(messages: readonly (Message & { topic: string })[]): Promise<EventId[]> {
    const places: number[] = [];
    const events: NewEvent[] = [];
    for (const [index, message] of messages.entries()) {
      places.push(events.length);
      try {
        events.push(...parseMessage(message.topic, message, this.#settings.maxEventBytes));
      } catch (error) {
        if (!(error instanceof HubError)) throw error;
        throw new HubError(error.code, `event ${index} of ${messages.length}: ${error.message}`);
      }
    }
    if (events.length === 0) return [];
    const ids = await this.#submit(events);
    return places.map((place) => ids[place]!);
  }

  /** Ends a topic. Its streams are told, and close once all their topics have ended. */
  end(topic: string): Promise<EventId> {
    return this.publish(topic, { end: true });
  }

  #submit(events: readonly NewEvent[]): Promise<readonly EventId[]> {
    if (this.#closing !== null)
      throw new HubError("closed", "the server is shutting down; publish again later");
    return new Promise((resolve, reject) => {
      this.#publications.push({ events, resolve, reject });
      this.#takeTurn();
    });
  }

  #takeTurn(): void {
    if (this.#turnDue) return;
    this.#turnDue = true;
    this.#clock.defer(() => {
      let more = true;
      try {
        this.#commit();
        more = this.#delivery.run();
      } finally {
        this.#turnDue = false;
        if (more || this.#publications.length > 0) this.#takeTurn();
      }
    });
  }

  /** One append for all that was published since the last turn. */
  #commit(): void {
    const publications = this.#publications;
    if (publications.length === 0) return;
    this.#publications = [];
    const batch =
      publications.length === 1 ? publications[0]!.events : publications.flatMap((each) => each.events);
    const fail = (error: unknown): void => {
      for (const { reject } of publications) reject(error);
    };
    const acknowledge = (ids: readonly EventId[]): void => {
      this.#published += ids.length;
      let place = 0;
      for (const { events, resolve } of publications) {
        resolve(publications.length === 1 ? ids : ids.slice(place, place + events.length));
        place += events.length;
      }
    };
    try {
      const ids = this.#settings.log.append(batch);
      if (ids instanceof Promise) ids.then(acknowledge, fail);
      else acknowledge(ids);
    } catch (error) {
      fail(error);
    }
  }

  /**
   * Finds out where a stream for this request begins, before there is one.
   *
   * @throws HubError `bad-selector` or `bad-request`; `closed` when the hub is closing
   */
  locate(request: StreamRequest): MaybePromise<Start> {
    if (this.#closing !== null)
      throw new HubError("closed", "the server is shutting down; connect again later");
    const { maxSelectors, log } = this.#settings;
    const { topics, lag = "catch-up", replay } = request;
    if (topics.length > maxSelectors) {
      throw new HubError(
        "bad-selector",
        `${topics.length} topics are more than the limit of ${maxSelectors}`,
      );
    }
    if (!LAG_POLICIES.includes(lag)) {
      throw new HubError("bad-request", `lag must be one of ${LAG_POLICIES.join(", ")}`);
    }
    if (replay !== undefined && replay !== "all" && !(Number.isSafeInteger(replay) && replay >= 0)) {
      throw new HubError("bad-request", 'replay must be "all" or a whole number from 0 on');
    }
    const selectors = new SelectorSet(topics);
    const { resume, cursor, reason } = this.#recognise(request.lastEventId ?? "");
    const wanted =
      cursor ??
      (replay === undefined
        ? log.bounds().last
        : log.rewind(replay === "all" ? Infinity : replay, selectors));
    return after(wanted, (asked) =>
      after(log.survey(asked, selectors), ({ from, events }) =>
        after(log.ends(selectors.topics), (ends): Start => {
          const evicted = resume === "resumed" && from > asked;
          const ended = selectors.patterns.length === 0 && ends.every((end) => end > 0);
          const gap = evicted ? "evicted" : reason;
          return {
            selectors,
            lag,
            cursor: from,
            resume: evicted ? "reset" : resume,
            replayed: events,
            gap:
              gap === null ? null : { reason: gap, from: gap === "unknown-id" ? null : request.lastEventId! },
            ends,
            over: resume === "resumed" && !evicted && ended && events === 0,
          };
        }),
      ),
    );
  }

  /** What an id says of where to go on; without a cursor, as a client that has none. */
  #recognise(lastEventId: string): { resume: Resume; cursor: Cursor | null; reason: GapReason | null } {
    if (lastEventId === "") return { resume: "fresh", cursor: null, reason: null };
    const { epoch, last } = this.#settings.log.bounds();
    const id = parseEventId(lastEventId);
    if (id === null || (id.epoch === epoch && id.cursor > last)) {
      return { resume: "reset", cursor: null, reason: "unknown-id" };
    }
    // All that this life of the log holds is new to a client of an earlier one.
    if (id.epoch !== epoch) return { resume: "reset", cursor: 0, reason: "epoch" };
    return { resume: "resumed", cursor: id.cursor, reason: null };
  }

  /**
   * Opens a stream on a sink, writes its first bytes, and gives it every selected event after its start, in order and
   * once, until one side closes it.
   *
   * @param start from {@link locate}; when left out it is looked for first
   * @throws HubError as `locate`
   */
  subscribe(request: StreamRequest & { sink: Sink; start?: Start | undefined }): Stream {
    const start = request.start ?? this.locate(request);
    if (this.#closing !== null)
      throw new HubError("closed", "the server is shutting down; connect again later");
    if (!(start instanceof Promise)) {
      const stream = this.#delivery.open(start.selectors, start.lag, request.sink, start.cursor);
      this.#begin(stream, start);
      return stream;
    }
    const selectors = new SelectorSet(request.topics);
    const stream = this.#delivery.open(selectors, request.lag ?? "catch-up", request.sink, 0);
    start.then(
      (found) => {
        stream.cursor = found.cursor;
        this.#begin(stream, found);
      },
      () => this.#delivery.close(stream, "error"),
    );
    return stream;
  }

  #begin(stream: Stream, start: Start): void {
    if (stream.state === "closed") return;
    const { cohort } = stream;
    const id = this.#delivery.id(start.cursor);
    const { resume, replayed, gap } = start;
    let text = readyEvent(
      id,
      this.#delivery.retry(),
      gap === null ? { resume, replayed } : { resume, replayed, reason: gap.reason },
    );
    if (gap !== null) {
      this.#delivery.counters.gaps[gap.reason]++;
      text += gapEvent(gap.reason, gap.from, id);
    }
    for (const [index, topic] of cohort.selectors.topics.entries()) {
      const end = start.ends[index]!;
      if (end === 0) continue;
      cohort.learnEnd(topic, end);
      // It ended before this stream began: nothing else will tell it.
      if (end <= start.cursor) text += endEvent(id, topic);
    }
    this.#delivery.start(stream, text);
  }

  /** What the hub holds and has done. Counters count from its start. */
  stats(): HubStats {
    const { streams, counters, cohorts } = this.#delivery;
    let catchingUp = 0;
    let blocked = 0;
    for (const { state } of streams) {
      if (state === "catching-up") catchingUp++;
      else if (state === "blocked") blocked++;
    }
    const { log } = this.#settings;
    const published = this.#published;
    return {
      streams: streams.length,
      cohorts,
      catchingUp,
      blocked,
      published,
      ...counters,
      log: log.bounds(),
    };
  }

  /** How many open streams want this topic: a publisher may rest while it is 0. */
  listeners(topic: string): number {
    return this.#delivery.listeners(parseTopic(topic));
  }

  /** The open streams, in no order. */
  streams(): readonly Stream[] {
    return this.#delivery.streams;
  }

  /**
   * Closes for good: takes no more events or streams, keeps what was published, tells every stream to come back later
   * (each at its own time), closes them in parts over the time given, and then the log.
   *
   * @param options.within milliseconds until the last stream is closed; default 0, at once
   */
  close({ within = 0 }: { within?: number } = {}): Promise<void> {
    this.#closing ??= this.#drain(within);
    return this.#closing;
  }

  async #drain(within: number): Promise<void> {
    this.#commit();
    this.#delivery.run();
    const { streams } = this.#delivery;
    const part = Math.ceil(streams.length / CLOSING_PARTS);
    if (within > 0 && streams.length > 0) {
      await new Promise<void>((resolve) => {
        const stop = this.#clock.every(within / CLOSING_PARTS, () => {
          for (const stream of streams.slice(-part)) this.#delivery.close(stream, "drain");
          if (streams.length > 0) return;
          stop();
          resolve();
        });
      });
    }
    for (const stream of streams.slice()) this.#delivery.close(stream, "drain");
    this.#stopSweep();
    this.#stopTail();
    await this.#settings.log.close();
  }
}

/** A hub; see {@link HubOptions} for what can be set. */
export function createHub(options: HubOptions = {}): Hub {
  return new Hub(options);
}
