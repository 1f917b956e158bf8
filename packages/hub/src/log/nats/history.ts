import type { ConsumerInfo, StoredMsg, StreamInfo, StreamState } from "@nats-io/jetstream";
import type { Cursor } from "../event-id.ts";
import { SelectorSet, type Topic } from "../../topics/topic.ts";
import {
  type BrokerPage,
  type BrokerPosition,
  type BrokerQuestion,
  type BrokerRecord,
  EpochMismatch,
} from "../broker/broker.ts";
import { idempotencyName } from "../numbering.ts";
import { Semaphore } from "../broker/semaphore.ts";
import { within } from "../broker/timing.ts";
import { firstOf, recordsOf, SLOTS } from "./message.ts";
import type { NatsClient } from "./client.ts";
import { KeptScans } from "./kept-scans.ts";
import { NatsReader } from "./reader.ts";
import { type Amount, Scan } from "./scan.ts";
import { keySubject, mixedSubject, selectedSubjects } from "./subjects.ts";

/** What stands in the stream, for those who ask. */
export class NatsHistory {
  protected readonly client: NatsClient;
  /** No message of several topics comes after this one, up to where the tail is; Infinity while that is not known. */
  protected lastMixed = Infinity;
  /** Settled, and made anew, when the tail has read on. */
  protected reading = Promise.withResolvers<void>();
  /** Mean size of the stream's messages. */
  protected messageBytes = 1024;
  readonly #scans: KeptScans;
  readonly #reading = new Semaphore(READING);

  constructor(client: NatsClient) {
    this.client = client;
    this.#scans = new KeptScans(client.clock, CONSUMER_LIFE / 2);
  }

  async page(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    { bytes, upTo, latest }: { bytes: number; upTo: Cursor; latest: boolean },
  ): Promise<BrokerPage> {
    const from = Math.max(after, firstOf(await this.#state(epoch)) - 1);
    if (from >= upTo) return { from, kept: [], outdated: new Set(), cursor: from };
    const messages = Math.max(16, Math.min(PAGE, Math.ceil(bytes / this.messageBytes)));
    const scan =
      this.#scans.take(from, selectors, this.#hasMixed(from)) ?? (await this.#scan(from, selectors));
    let found;
    try {
      found = await scan.read(from, upTo, { messages, bytes: Math.min(bytes, MANY.bytes) });
    } catch (error) {
      scan.close();
      throw error;
    }
    if (found.cursor < upTo) this.#scans.keep(scan);
    else scan.close();
    // A scan skips what is evicted before it comes there. Only what still stands after it is known to be without a hole.
    const floor = Math.max(from, firstOf(await this.#state(epoch)) - 1);
    const kept = found.kept.filter(({ seq }) => seq > floor);
    const outdated = latest ? await this.#outdated(kept) : new Set<Cursor>();
    return { from: floor, cursor: Math.max(found.cursor, floor), kept, outdated };
  }

  /** Whether messages of several topics come after the cursor. */
  #hasMixed(after: Cursor): boolean {
    return this.lastMixed * SLOTS > after;
  }

  /** As far as subjects tell, which is not of what arrays with several keys or topics hold. */
  async #outdated(kept: readonly BrokerRecord[]): Promise<ReadonlySet<Cursor>> {
    const { prefix, manager } = this.client;
    const lastHere = new Map<string, BrokerRecord>();
    const outdated = new Set<Cursor>();
    for (const each of kept) {
      if (each.event.end) continue;
      const name = idempotencyName(each.event.topic, each.event.key);
      const older = lastHere.get(name);
      if (older !== undefined) outdated.add(older.seq);
      lastHere.set(name, each);
    }
    const lasts = [...lastHere.values()].map(async ({ seq, event: { topic, key } }) => {
      const newest = { last_by_subj: keySubject(prefix, topic, key) };
      const message = await manager.direct.getMessage(prefix, newest);
      const isNewer = ({ seq: other, event }: BrokerRecord): boolean =>
        other > seq && event.topic === topic && event.key === key && !event.end;
      if (message !== null && recordsOf(this.client, message, "").some(isNewer)) outdated.add(seq);
    });
    await Promise.all(lasts);
    return outdated;
  }

  async position(epoch: string, question: BrokerQuestion): Promise<BrokerPosition> {
    const { selectors, upTo, counted } = question;
    // Of the server that leads: it has every event whose append was answered before this.
    const state = await this.#state(epoch);
    let { from, ends } = await this.#look(epoch, question, firstOf(state) - 1);
    // A topic that has ended, for all that has come here, can have begun anew since.
    const last = state.last_seq * SLOTS;
    if (ends.some((end) => end > 0) && !this.client.ends.table.joins(epoch, last)) {
      await this.#arrival(epoch, last);
      ({ from, ends } = await this.#look(epoch, question, firstOf(state) - 1));
    }
    return { from, ends, replayed: counted ? await this.#count(from, selectors, upTo) : 0 };
  }

  /** Resolves when the tail has read up to the cursor. @throws Error when that takes long */
  async #arrival(epoch: string, cursor: Cursor): Promise<void> {
    const { clock, ends } = this.client;
    const deadline = clock.now() + READ_WITHIN;
    while (!ends.table.joins(epoch, cursor))
      await within(clock, deadline - clock.now(), this.reading.promise);
  }

  /** One view: of the moment in which it is asked for the last time what is evicted. */
  async #look(
    epoch: string,
    { selectors, after, last, upTo }: BrokerQuestion,
    floor: Cursor,
  ): Promise<{ from: Cursor; ends: Cursor[] }> {
    const { topics, patterns } = selectors;
    const begin = after ?? (await this.#beforeLast(last, selectors, floor, upTo));
    const retained = await Promise.all(
      topics.map(async (topic) => this.#knownEnd(epoch, topic, floor) ?? (await this.#retainedEnd(topic))),
    );
    const evicted = firstOf(await this.#state(epoch)) - 1;
    // What is evicted by now may have hidden an event from the search for an end.
    const ends = topics.map(
      (topic, at) => this.#knownEnd(epoch, topic, evicted) ?? (retained[at]! > evicted ? retained[at]! : 0),
    );
    // Whatever is evicted, nothing follows the end of a topic.
    const isOver = patterns.length === 0 && ends.every((end) => end > 0 && end <= begin);
    return { from: isOver ? begin : Math.max(begin, Math.min(evicted, upTo)), ends };
  }

  /** The cursor before the last selected events; what is evicted meanwhile is not found. */
  async #beforeLast(count: number, selectors: SelectorSet, floor: Cursor, upTo: Cursor): Promise<Cursor> {
    if (count === 0) return upTo;
    if (count === Infinity) return floor;
    let lasts: Cursor[] = [];
    let span = Math.max(LOOK_BACK, count) * SLOTS;
    for (let end = upTo; end > floor && lasts.length < count; span *= FURTHER) {
      const start = Math.max(floor, end - span);
      const found: Cursor[] = [];
      await this.#visit(start, end, selectors, ({ seq }) => void found.push(seq));
      lasts = found.concat(lasts);
      end = start;
    }
    const nth = lasts.at(-count);
    return nth === undefined ? floor : nth - 1;
  }

  /** Counts the events in as many messages as {@link COUNTED}. Each one beyond counts as an event. */
  async #count(after: Cursor, selectors: SelectorSet, upTo: Cursor): Promise<number> {
    let events = 0;
    const left = await this.#visit(after, upTo, selectors, () => events++, COUNTED);
    return events + left;
  }

  /** As `EndedTopics.end`. */
  #knownEnd(epoch: string, topic: Topic, evicted: Cursor): Cursor | undefined {
    const { table } = this.client.ends;
    return table.epoch === epoch ? table.end(topic, evicted) : undefined;
  }

  /** The event that ended the topic, as far as what the stream holds tells; 0: none. */
  async #retainedEnd(topic: Topic): Promise<Cursor> {
    const selectors = new SelectorSet([topic]);
    const message = await this.newestOf(selectedSubjects(this.client.prefix, selectors)[0]!);
    const kept = message === null ? [] : recordsOf(this.client, message, "");
    let newest = kept.at(-1);
    // Subjects do not tell what arrays of several topics hold, nor what stands before a message that is not ours.
    const isForeign = message !== null && kept.length === 0;
    const upTo = Math.max(isForeign ? message.seq : 0, this.lastMixed) * SLOTS;
    await this.#visit(newest?.seq ?? 0, upTo, selectors, (each) => {
      newest = each;
    });
    return newest?.event.end === true ? newest.seq : 0;
  }

  /** @throws EpochMismatch */
  async #state(epoch: string): Promise<StreamState> {
    const info = await this.info();
    if (info?.config.description?.includes(`epoch=${epoch} `) !== true)
      throw new EpochMismatch(`the stream ${this.client.prefix} is in another epoch`);
    return info.state;
  }

  /** The stream; null when there is none. */
  protected async info(): Promise<StreamInfo | null> {
    try {
      return await this.client.manager.streams.info(this.client.prefix);
    } catch (error) {
      if ((error as Error).name === "StreamNotFoundError") return null;
      throw error;
    }
  }

  /** Of the server that leads: another one could be behind, and not have the event that begins a topic anew. */
  protected newestOf(subject: string): Promise<StoredMsg | null> {
    return this.client.manager.streams.getMessage(this.client.prefix, { last_by_subj: subject });
  }

  /**
   * Every selected event in (from, upTo], of so many messages.
   *
   * @returns how many messages are left
   */
  async #visit(
    from: Cursor,
    upTo: Cursor,
    selectors: SelectorSet,
    visit: (kept: BrokerRecord) => void,
    most = Infinity,
  ): Promise<number> {
    if (from >= upTo) return 0;
    const scan = await this.#scan(from, selectors);
    try {
      for (let after = from; after < upTo;) {
        if (scan.messages >= most) return scan.left;
        const { kept, cursor } = await scan.read(after, upTo, MANY);
        kept.forEach(visit);
        after = cursor;
      }
      return 0;
    } finally {
      scan.close();
    }
  }

  /** Reads what is selected after a cursor. */
  async #scan(from: Cursor, selectors: SelectorSet): Promise<Scan> {
    const subjects: (string | undefined)[] = selectors.selectsAll
      ? [undefined]
      : selectedSubjects(this.client.prefix, selectors);
    const isWhole = selectors.selectsAll || this.#hasMixed(from);
    if (isWhole && !selectors.selectsAll) subjects.push(mixedSubject(this.client.prefix));
    const start = Math.floor(from / SLOTS) + 1;
    const readers = subjects.map((subject) =>
      this.#reading.pass(
        READING / 4,
        async () => new NatsReader(this.client, await this.consumer(start, subject)),
      ),
    );
    const opened = await Promise.allSettled(readers);
    const failed = opened.find(({ status }) => status === "rejected");
    const found = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    if (failed === undefined) return new Scan(selectors, from, found, isWhole, this.#reading);
    for (const reader of found) reader.close();
    throw (failed as PromiseRejectedResult).reason;
  }

  /** A consumer of this node alone: what is lost on the way is asked for again. */
  protected consumer(start: number, subject?: string): Promise<ConsumerInfo> {
    return this.client.manager.consumers.add(this.client.prefix, {
      ack_policy: this.client.nats.AckPolicy.None,
      deliver_policy: this.client.nats.DeliverPolicy.StartSequence,
      opt_start_seq: start,
      inactive_threshold: this.client.nats.nanos(CONSUMER_LIFE),
      mem_storage: true,
      num_replicas: 1,
      ...(subject === undefined ? {} : { filter_subject: subject }),
    });
  }
}

/** The most messages that are asked for at once by a page. */
const PAGE = 256;
/** The most messages, and bytes of them, that are asked for at once by what looks at many. */
const MANY: Amount = { messages: 4096, bytes: 8 * 1024 * 1024 };
/** The most messages that are read to count the events in them. */
export const COUNTED = 4 * MANY.messages;
/** How far back the last events are looked for at first, in messages; the next look goes so many times further. */
const LOOK_BACK = 1024;
const FURTHER = 8;
/** How long a consumer outlives a node that has not taken it back, in milliseconds. */
const CONSUMER_LIFE = 10_000;
/** How long it may take until what the stream has is here, in milliseconds. */
const READ_WITHIN = 1000;
/** The most bytes that may be on their way here: beyond 64 MiB (`max_pending`) the server closes the connection. */
const READING = 24 * 1024 * 1024;
