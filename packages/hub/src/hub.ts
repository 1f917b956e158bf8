import type { TopicMap, TopicOf } from "@sse/protocol";
import type { Clock } from "./clock.ts";
import { startDeadlines } from "./deliver/deadlines.ts";
import { OpenStreams } from "./deliver/open-streams.ts";
import { Turns } from "./event-loop-turns.ts";
import { HubError } from "./errors.ts";
import { Batch } from "./publish/batch.ts";
import { type Message, parseMessage } from "./publish/message.ts";
import type { NewEvent } from "./log/new-event.ts";
import { EventIterator, type IterateRequest } from "./subscribe/event-iterator.ts";
import type { HubEvent } from "./subscribe/hub-event.ts";
import { Opening } from "./subscribe/opening.ts";
import { parseRequest, type StreamRequest } from "./subscribe/request.ts";
import type { EventId } from "./log/event-id.ts";
import type { EventLog, MaybePromise } from "./log/event-log.ts";
import { type HubOptions, type HubSettings, resolveOptions } from "./options.ts";
import { Drain } from "./deliver/drain.ts";
import { GroupCommit } from "./publish/group-commit.ts";
import { type InputOf, Schemas, type TopicSchemas } from "./publish/schemas.ts";
import type { HubStats, SlowStream } from "./stats.ts";
import { parseTopic, SelectorSet } from "./topics/topic.ts";
import type { Known, MapOf, MessageFor, MessagesFor } from "./topics/typed-topics.ts";

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
  readonly #streams: OpenStreams;
  readonly #schemas: Schemas | null;
  readonly #stopDeadlines: () => void;
  readonly #stopTail: () => void;
  readonly #groupCommit: GroupCommit;
  readonly #turns: Turns;
  readonly #drain: Drain;
  readonly #parent: EventHub | null;
  readonly #namespaces = new Set<EventHub>();
  #closing: Promise<void> | null = null;

  constructor(options: HubOptions = {}, parent: EventHub | null = null) {
    this.#parent = parent;
    this.#settings = resolveOptions(options);
    this.#clock = this.#settings.clock;
    this.#schemas = this.#settings.schemas === null ? null : new Schemas(this.#settings.schemas);
    this.#groupCommit = new GroupCommit(this.#settings);
    const sibling = parent === null ? null : parent.#streams;
    this.#streams = new OpenStreams(this.#settings, () => this.#turns.take(), sibling);
    this.#turns = new Turns(this.#clock, this.#groupCommit, this.#streams);
    this.#drain = new Drain(this.#streams, this.#clock);
    this.#stopTail = this.#settings.log.tail(this.#streams);
    this.#stopDeadlines = startDeadlines(this.#streams, this.#settings);
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
  publish<const Name extends TopicOf<MapOf<this>>>(
    topic: Name & Known<MapOf<this>, Name>,
    message: MessageFor<MapOf<this>, Name>,
  ): Promise<EventId> {
    // No wait where there is none, and no promise but one: events keep the order in which they are published.
    try {
      const checked = this.#schemas === null ? message : this.#schemas.check(topic, message);
      return checked instanceof Promise
        ? checked.then((ready) => this.#publish(topic, ready))
        : this.#publish(topic, checked);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #publish(topic: unknown, message: Message): Promise<EventId> {
    const events = parseMessage(topic, message, this.#settings.maxEventBytes);
    this.#requireOpen();
    const id = this.#groupCommit.addMessage(events);
    this.#turns.take();
    return id;
  }

  /** Publishes all or nothing, in this order, and resolves with an id for each message. */
  async publishMany<const Names extends readonly TopicOf<MapOf<this>>[]>(
    messages: MessagesFor<MapOf<this>, Names>,
  ): Promise<EventId[]> {
    const batch = this.batch();
    for (const message of messages) batch.add(message);
    return batch.publish();
  }

  /**
   * As {@link publishMany}, in steps: for so many messages that checking them all at once would hold up the event loop.
   *
   * At most `maxBatch` can be added.
   */
  batch(): Batch {
    const { maxBatch, maxEventBytes } = this.#settings;
    return new Batch(maxBatch, this.#schemas, maxEventBytes, (events) => this.#submit(events));
  }

  /** Ends a topic. Its streams are told, and close once all their topics have ended. */
  end<const Name extends TopicOf<MapOf<this>>>(topic: Name & Known<MapOf<this>, Name>): Promise<EventId> {
    return this.publish(topic, { end: true });
  }

  #requireOpen(): void {
    if (this.#closing !== null)
      throw new HubError("closed", "the server is shutting down; publish again later");
  }

  #submit(events: readonly NewEvent[]): Promise<readonly EventId[]> {
    this.#requireOpen();
    const ids = this.#groupCommit.add(events);
    this.#turns.take();
    return ids;
  }

  /**
   * Opens a stream in two steps: takes its quotas, registers it, and asks the log once where it begins; then
   * {@link Opening.attach} gives it a sink. Answers at once when the log does.
   *
   * @throws HubError (or rejects) `bad-selector` or `bad-request`; `closed` when the hub is closing; `too-many-streams`, or one
   *   of its kind, when there is no room for the stream; `log-failed` when the log cannot be asked now
   */
  open(request: StreamRequest): MaybePromise<Opening> {
    if (this.#closing !== null)
      throw new HubError("closed", "the server is shutting down; connect again later");
    const streams = this.#streams;
    const stream = streams.register(parseRequest(request, this.#settings.maxSelectors), request);
    const opening = streams.resumer.position(stream, (position) => new Opening(streams, stream, position));
    if (!(opening instanceof Promise)) return opening;
    const cancel = () => stream.finish("client");
    const { signal } = request;
    if (signal?.aborted === true) cancel();
    else if (signal !== undefined) {
      signal.addEventListener("abort", cancel);
      const stop = () => signal.removeEventListener("abort", cancel); // it may be the signal of many streams, for long
      opening.then(stop, stop);
    }
    return opening;
  }

  /**
   * The events of a stream, one by one: for code that is no HTTP response, and for frameworks that write the response themselves
   * (tRPC's `tracked`, GraphQL over SSE, Hono's `streamSSE`, Nest's `@Sse`). Opened at once; to be asked for its first event
   * within 10 s. As with every stream, gaps are told, and who does not ask for more costs one frame.
   *
   * Ends when all topics have, when the hub says that it is `closing`, after `return()` (as by `break`), and when the signal is
   * aborted, which throws nothing.
   *
   * @throws HubError (as a rejection of `next`) as {@link open}; and what the log throws when it cannot be read
   */
  iterate(request: IterateRequest): AsyncIterableIterator<HubEvent> & AsyncDisposable {
    const streams = this.#streams;
    return new EventIterator(
      request,
      (wanted) => this.open(wanted),
      () => streams.retry(),
    );
  }

  /**
   * A hub with topics of its own, and a log of its own for them, for events that do not belong into this one's: what is
   * published in one is not in the other. Its streams are this hub's streams all the same: they have its options, count for
   * its limits and its {@link stats}, are drained with it, and close with it.
   *
   * @param log is closed with the namespace
   * @throws HubError `closed` when the hub is closing
   */
  namespace(log: EventLog): Hub {
    if (this.#closing !== null) throw new HubError("closed", "the server is shutting down");
    if (this.#parent !== null) return this.#parent.namespace(log); // all are the hub's
    const namespace = new EventHub({ ...this.#settings, schemas: null, observer: undefined, log }, this);
    this.#namespaces.add(namespace);
    return namespace;
  }

  /** What the hub and its namespaces hold, and have done. Counters count from its start; `log` is the hub's own. */
  stats(): HubStats {
    const { counters, quotas, bytesTaken } = this.#streams;
    let streams = 0;
    let cohorts = 0;
    let catchingUp = 0;
    let blocked = 0;
    for (const open of this.#allStreams()) {
      streams += open.all.length;
      cohorts += open.cohorts;
      for (const { state } of open.all) {
        if (state === "catching-up") catchingUp++;
        else if (state === "blocked") blocked++;
      }
    }
    const { log } = this.#settings;
    return {
      streams,
      cohorts,
      addresses: quotas.addresses,
      principals: quotas.principals,
      catchingUp,
      blocked,
      published: this.#groupCommit.published,
      bytesTaken,
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
    return this.#allStreams()
      .flatMap((open) => open.all.map((stream) => ({ stream, lag: open.lag(stream) })))
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

  #allStreams(): OpenStreams[] {
    return [this.#streams, ...[...this.#namespaces].map((namespace) => namespace.#streams)];
  }

  /** Why the log cannot keep events now; null while it can. */
  get fault(): EventLog["fault"] {
    return this.#settings.log.fault;
  }

  /** Milliseconds after which a client that is sent away should come back: another number each time. */
  returnTime(): number {
    return this.#streams.returnTime();
  }

  /** How many open streams want this topic: a publisher may rest while it is 0. */
  listeners(topic: string): number {
    return this.#streams.listeners(parseTopic(topic));
  }

  /**
   * Closes for good: takes no more events or streams, keeps what was published, tells every stream to come back later
   * (each at its own time), closes them in parts over the time given, and then the log.
   *
   * @param options.within milliseconds until the last stream is closed; default 0, at once
   */
  close({ within = 0 }: { within?: number } = {}): Promise<void> {
    this.#closing ??= this.#shutDown(within);
    return this.#closing;
  }

  /**
   * Tells streams to come back later, each at its own time, and closes them in parts over the time given: after nodes were
   * added, before one goes, or when what may be read has changed. The hub goes on, and takes new streams meanwhile.
   *
   * @param options.topics those that ask for one of these selectors, by the same word; default: every stream, of namespaces too
   * @param options.within milliseconds until the last of them is closed; default 5,000; 0 is at once
   * @returns how many streams these are
   * @throws HubError `bad-selector` or `bad-request`; `too-many-drains` while 16 others take their time
   */
  drain({ topics, within = 5000 }: { topics?: readonly string[]; within?: number } = {}): number {
    if (!Number.isInteger(within) || within < 0 || within > LONGEST_CLOSING) {
      const most = `at most ${LONGEST_CLOSING}`;
      throw new HubError("bad-request", `within must be a whole number of milliseconds, ${most}`);
    }
    if (within > 0 && [this, ...this.#namespaces].some((hub) => hub.#drain.atWork >= MAX_DRAINS))
      throw new HubError(
        "too-many-drains",
        `${MAX_DRAINS} drains are at work; begin another when one is done`,
      );
    const wanted = topics === undefined ? null : new Set(new SelectorSet(topics).words);
    const chosen = this.#streams.all.filter(
      ({ cohort }) => wanted === null || cohort.selectors.words.some((word) => wanted.has(word)),
    );
    let count = chosen.length;
    void this.#drain.close(chosen, within);
    if (wanted === null) for (const namespace of this.#namespaces) count += namespace.drain({ within });
    return count;
  }

  async #shutDown(within: number): Promise<void> {
    await Promise.resolve(); // a callback or a sink that closes the hub is done first, and finds it closing
    this.#groupCommit.commit(Infinity);
    this.#streams.run();
    const namespaces = Promise.all([...this.#namespaces].map((namespace) => namespace.close({ within })));
    namespaces.catch(() => {}); // told at the end: what fails there keeps nothing open here
    await this.#drain.close(this.#streams.all.slice(), within);
    this.#drain.stop();
    this.#stopDeadlines();
    await this.#groupCommit.settled();
    this.#stopTail();
    if (this.#parent !== null) this.#parent.#namespaces.delete(this);
    await this.#settings.log.close();
    await namespaces;
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

/** Each keeps a list of its streams, for an hour, where that is wanted: without a bound, requests of 20 bytes would fill the memory. */
const MAX_DRAINS = 16;
/** An hour: nobody waits longer for streams to be closed. */
const LONGEST_CLOSING = 3_600_000;
