import type { TopicMap, TopicOf } from "@sse/protocol";
import type { Clock } from "./clock.ts";
import { endEvent, gapEvent, readyEvent } from "./control-events.ts";
import type { EventId } from "./log/event-id.ts";
import { Delivery } from "./deliver/fan-out.ts";
import { HubError } from "./errors.ts";
import { inEvent, type NewEvent, parseMessage } from "./publish/message.ts";
import { locate, type Start, type StreamRequest } from "./subscribe/position.ts";
import type { EventLog, MaybePromise } from "./log/event-log.ts";
import { type HubOptions, type HubSettings, resolveOptions } from "./options.ts";
import { Drain } from "./deliver/drain.ts";
import { GroupCommit } from "./publish/group-commit.ts";
import { type InputOf, Schemas, type TopicSchemas } from "./publish/schemas.ts";
import type { Sink } from "./sinks/sink.ts";
import type { HubStats, SlowStream } from "./stats.ts";
import type { Stream } from "./subscribe/stream.ts";
import { startSweep } from "./deliver/deadlines.ts";
import { parseTopic, SelectorSet } from "./topics/topic.ts";
import type { Known, MapOf, MessageFor, MessagesFor } from "./topics/topic-map.ts";

/** An hour: nobody waits longer for streams to be closed. */
const LONGEST_CLOSING = 3_600_000;

/**
 * Takes events from publishers, keeps them in its log, and fans them out to streams.
 *
 * Events that are published in one turn of the event loop are appended together and reach each stream in one write.
 */
class EventHub {
  /** What its topics carry: a type, and never a value. */
  declare readonly "~topics"?: TopicMap;

  readonly #settings: HubSettings;
  readonly #clock: Clock;
  readonly #delivery: Delivery;
  readonly #schemas: Schemas | null;
  readonly #stopSweep: () => void;
  readonly #stopTail: () => void;
  readonly #publications: GroupCommit;
  readonly #partings: Drain;
  #turnDue = false;
  #closing: Promise<void> | null = null;

  constructor(options: HubOptions = {}) {
    this.#settings = resolveOptions(options);
    this.#clock = this.#settings.clock;
    this.#schemas = this.#settings.schemas === null ? null : new Schemas(this.#settings.schemas);
    this.#publications = new GroupCommit(this.#settings);
    this.#delivery = new Delivery(this.#settings, () => this.#takeTurn());
    this.#partings = new Drain(this.#delivery, this.#clock);
    this.#stopTail = this.#settings.log.tail({
      append: (entries) => this.#delivery.route(entries),
      reset: () => this.#delivery.reset(),
      skip: () => this.#delivery.skip(),
    });
    this.#stopSweep = startSweep(this.#delivery, this.#settings);
  }

  /** True once {@link close} was called: nothing is published or opened any more. */
  get closing(): boolean {
    return this.#closing !== null;
  }

  /**
   * Publishes one event. Resolves with its id once the log keeps it.
   *
   * @throws HubError (as a rejection) for a bad topic or message, or when the hub is closing; and what a schema throws,
   *   other than that it has issues with the data
   */
  async publish<const Name extends TopicOf<MapOf<this>>>(
    topic: Name & Known<MapOf<this>, Name>,
    message: MessageFor<MapOf<this>, Name>,
  ): Promise<EventId> {
    const checked = this.#schemas === null ? message : this.#schemas.check(topic, message);
    // No wait where there is none: events keep the order in which they are published.
    const ready = checked instanceof Promise ? await checked : checked;
    return (await this.#submit(parseMessage(topic, ready, this.#settings.maxEventBytes)))[0]!;
  }

  /** Publishes all or nothing, in this order, and resolves with an id for each message. */
  async publishMany<const Names extends readonly TopicOf<MapOf<this>>[]>(
    messages: MessagesFor<MapOf<this>, Names>,
  ): Promise<EventId[]> {
    const { maxBatch, maxEventBytes } = this.#settings;
    if (messages.length > maxBatch) {
      throw new HubError(
        "too-large",
        `${messages.length} events are more than the limit of ${maxBatch}; send them in parts`,
      );
    }
    const checked = this.#schemas === null ? messages : this.#schemas.checkAll(messages);
    const ready = checked instanceof Promise ? await checked : checked;
    const events: NewEvent[] = [];
    const places: number[] = [];
    for (let index = 0; index < ready.length; index++) {
      const message = ready[index]!;
      places.push(events.length);
      try {
        parseMessage(message.topic, message, maxEventBytes, events);
      } catch (error) {
        throw inEvent(index, ready.length, error);
      }
    }
    if (events.length === 0) return [];
    const ids = await this.#submit(events);
    // A message may be two events, when it ends its topic.
    return ids.length === places.length ? ids.slice() : places.map((place) => ids[place]!);
  }

  /** Ends a topic. Its streams are told, and close once all their topics have ended. */
  end<const Name extends TopicOf<MapOf<this>>>(topic: Name & Known<MapOf<this>, Name>): Promise<EventId> {
    return this.publish(topic, { end: true });
  }

  #submit(events: readonly NewEvent[]): Promise<readonly EventId[]> {
    if (this.#closing !== null)
      throw new HubError("closed", "the server is shutting down; publish again later");
    const ids = this.#publications.add(events);
    this.#takeTurn();
    return ids;
  }

  #takeTurn(): void {
    if (this.#turnDue) return;
    this.#turnDue = true;
    this.#clock.defer(() => {
      this.#turnDue = false;
      // What this turn commits goes out in the next one, so that the answers to its publishers do not wait for a large
      // fan-out; or at once, together with what is due anyway.
      const due = this.#delivery.hasWork;
      this.#publications.commit();
      if (due && this.#delivery.run()) this.#takeTurn();
    });
  }

  /**
   * Finds out where a stream for this request begins, before there is one.
   *
   * @throws HubError `bad-selector` or `bad-request`; `closed` when the hub is closing; `too-many-streams`, or one of its
   *   kind, when there is no room for the stream
   */
  locate(request: StreamRequest): MaybePromise<Start> {
    if (this.#closing !== null)
      throw new HubError("closed", "the server is shutting down; connect again later");
    this.#delivery.occupancy.require(request);
    return locate(this.#settings.log, request, this.#settings.maxSelectors);
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
    this.#delivery.occupancy.require(request); // others may have come while its start was looked for
    const selectors = start instanceof Promise ? new SelectorSet(request.topics) : start.selectors;
    const stream = this.#delivery.open(selectors, request.sink, request);
    this.#open(stream, request, start);
    return stream;
  }

  #open(stream: Stream, request: StreamRequest, start: MaybePromise<Start>): void {
    if (start instanceof Promise) {
      start.then(
        (found) => this.#open(stream, request, found),
        () => this.#delivery.close(stream, "error"),
      );
    } else if (start.epoch === this.#delivery.epoch) this.#begin(stream, start);
    else this.#open(stream, request, locate(this.#settings.log, request, this.#settings.maxSelectors));
  }

  #begin(stream: Stream, start: Start): void {
    if (stream.state === "closed") return;
    stream.cursor = start.cursor;
    const { cohort } = stream;
    const id = this.#delivery.id(start.cursor);
    const { resume, replayed, gap } = start;
    this.#delivery.counters.resumes[resume]++;
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
    const { streams, counters, cohorts, occupancy } = this.#delivery;
    let catchingUp = 0;
    let blocked = 0;
    for (const { state } of streams) {
      if (state === "catching-up") catchingUp++;
      else if (state === "blocked") blocked++;
    }
    const { log } = this.#settings;
    return {
      streams: streams.length,
      cohorts,
      addresses: occupancy.addresses,
      principals: occupancy.principals,
      catchingUp,
      blocked,
      published: this.#publications.kept,
      ...counters,
      log: {
        ...log.bounds(),
        fault: log.fault,
        ...(log.connection !== undefined && { connection: log.connection }),
      },
    };
  }

  /** The streams that are furthest behind, the furthest first. Looks at every stream. */
  slowest(count: number): SlowStream[] {
    const now = this.#clock.now();
    return this.#delivery.streams
      .map((stream) => ({ stream, lag: this.#delivery.lag(stream) }))
      .filter(({ lag }) => lag > 0)
      .toSorted((a, b) => b.lag - a.lag)
      .slice(0, count)
      .map(({ stream: { cohort, state, opened }, lag }) => ({
        topics: cohort.selectors.words,
        state,
        age: Math.round(now - opened),
        lag,
      }));
  }

  /** Why the log cannot keep events now; null while it can. */
  get fault(): EventLog["fault"] {
    return this.#settings.log.fault;
  }

  /** Milliseconds after which a client that is sent away should come back: another number each time. */
  returnTime(): number {
    return this.#delivery.returnTime();
  }

  /** How many open streams want this topic: a publisher may rest while it is 0. */
  listeners(topic: string): number {
    return this.#delivery.listeners(parseTopic(topic));
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

  /**
   * Tells streams to come back later, each at its own time, and closes them in parts over the time given: after nodes were
   * added, before one goes, or when what may be read has changed. The hub goes on, and takes new streams meanwhile.
   *
   * @param options.topics those that ask for one of these selectors, by the same word; default: every stream
   * @param options.within milliseconds until the last of them is closed; default 5,000; 0 is at once
   * @returns how many streams these are
   * @throws HubError `bad-selector` or `bad-request`
   */
  sendAway({ topics, within = 5000 }: { topics?: readonly string[]; within?: number } = {}): number {
    if (!Number.isInteger(within) || within < 0 || within > LONGEST_CLOSING) {
      const most = `at most ${LONGEST_CLOSING}`;
      throw new HubError("bad-request", `within must be a whole number of milliseconds, ${most}`);
    }
    const { streams } = this.#delivery;
    const wanted = topics === undefined ? null : new Set(new SelectorSet(topics).words);
    const chosen = streams.filter(
      ({ cohort }) => wanted === null || cohort.selectors.words.some((word) => wanted.has(word)),
    );
    const { length } = chosen;
    void this.#partings.close(chosen, within);
    return length;
  }

  async #drain(within: number): Promise<void> {
    this.#publications.commit();
    this.#delivery.run();
    await this.#partings.close(this.#delivery.streams.slice(), within);
    this.#partings.stop();
    this.#stopSweep();
    await this.#publications.settled();
    this.#stopTail();
    await this.#settings.log.close();
  }
}

/**
 * A hub, and what the events of its topics carry: `Hub<{ "orders/*": Order }>`. Each hub is a `Hub` without a type, which
 * takes any topic and any data.
 */
export type Hub<Topics extends TopicMap = object> = EventHub & { readonly "~topics"?: Topics };

/** A hub whose topics have the types of the schemas: what is published is checked, see {@link HubOptions.schemas}. */
export function createHub<const Given extends TopicSchemas>(
  options: HubOptions & { schemas: Given },
): Hub<InputOf<Given>>;
/** A hub; see {@link HubOptions} for what can be set. */
export function createHub<Topics extends TopicMap = object>(options?: HubOptions): Hub<Topics>;
export function createHub<Topics extends TopicMap = object>(options: HubOptions = {}): Hub<Topics> {
  return new EventHub(options) as Hub<Topics>;
}
