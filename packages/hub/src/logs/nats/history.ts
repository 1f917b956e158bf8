import type {
  ConsumerInfo,
  JetStreamClient,
  JetStreamManager,
  StoredMsg,
  StreamConfig,
  StreamInfo,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Cursor } from "../../cursor.ts";
import { SelectorSet, type Topic } from "../../topic.ts";
import { type BrokerPage, type Kept, OtherLife } from "../broker/broker.ts";
import { publishKey } from "../numbering.ts";
import { firstOf, keptOf, SLOTS } from "./message.ts";
import type { NatsPackages } from "./nats-log.ts";
import { keySubject, mixedSubject, selectedSubjects } from "./subjects.ts";

/** The most messages that are asked for at once. */
export const FETCH = 256;
/** The most messages, and bytes of them, that a scan of everything asks for at once: each time costs a consumer. */
const SCAN = 4096;
const SCAN_BYTES = 16 * 1024 * 1024;
/** How long a consumer outlives a node that has not taken it back, in milliseconds. */
const CONSUMER_LIFE = 10_000;
/** How long a read waits for the messages that are there, in milliseconds. */
const FETCH_WITHIN = 3000;

export interface NatsClient {
  readonly nats: NatsPackages;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly jetstream: JetStreamClient;
  /** The name of the stream, and what its subjects begin with. */
  readonly prefix: string;
  /** What a stream is made with. */
  readonly config: Partial<StreamConfig>;
  /** Told of a stream that was there. */
  readonly onFound: (info: StreamInfo) => void;
}

/** What stands in the stream, for those who ask. */
export class NatsHistory {
  protected readonly client: NatsClient;
  /** No message of several topics comes after this one, up to where the tail is. */
  protected lastMixed = 0;
  /** Mean size of the stream's messages. */
  protected messageBytes = 1024;

  constructor(client: NatsClient) {
    this.client = client;
  }

  async page(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    { bytes, upTo, latest }: { bytes: number; upTo: Cursor; latest: boolean },
  ): Promise<BrokerPage> {
    const from = Math.max(after, (await this.#first(epoch)) - 1);
    if (from >= upTo) return { from, kept: [], outdated: new Set(), cursor: from };
    const count = Math.max(16, Math.min(FETCH, Math.ceil(bytes / this.messageBytes)));
    const { kept: found, cursor } = await this.#scan(from, upTo, selectors, count);
    // A scan skips what is evicted before it comes there. Only what still stands after it is known to be without a hole.
    const floor = Math.max(from, (await this.#first(epoch)) - 1);
    const kept = found.filter(({ seq }) => seq > floor);
    const outdated = latest ? await this.#outdated(kept) : new Set<Cursor>();
    return { from: floor, cursor: Math.max(cursor, floor), kept, outdated };
  }

  /** As far as subjects tell, which is not of what arrays with several keys or topics hold. */
  async #outdated(kept: readonly Kept[]): Promise<ReadonlySet<Cursor>> {
    const newest = new Map<string, Kept>();
    const outdated = new Set<Cursor>();
    for (const each of kept) {
      if (each.event.end) continue;
      const name = publishKey(each.event.topic, each.event.key);
      const older = newest.get(name);
      if (older !== undefined) outdated.add(older.seq);
      newest.set(name, each);
    }
    const lasts = [...newest.values()].map(async ({ seq, event }) => {
      const message = await this.last(keySubject(this.client.prefix, event));
      if (message !== null && message.seq > Math.ceil(seq / SLOTS)) outdated.add(seq);
    });
    await Promise.all(lasts);
    return outdated;
  }

  async survey(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    upTo: Cursor,
  ): Promise<{ from: Cursor; events: number }> {
    const from = Math.max(after, (await this.#first(epoch)) - 1);
    const found: Cursor[] = [];
    await this.#visit(from, upTo, selectors, ({ seq }) => void found.push(seq));
    const floor = Math.max(from, (await this.#first(epoch)) - 1);
    return { from: floor, events: found.filter((seq) => seq > floor).length };
  }

  async rewind(epoch: string, count: number, selectors: SelectorSet, upTo: Cursor): Promise<Cursor> {
    const from = (await this.#first(epoch)) - 1;
    if (!Number.isFinite(count)) return from;
    const found: Cursor[] = [];
    await this.#visit(from, upTo, selectors, ({ seq }) => void found.push(seq));
    const floor = (await this.#first(epoch)) - 1;
    const lasts = found.filter((seq) => seq > floor);
    const nth = lasts.at(-count);
    return count > lasts.length || nth === undefined ? floor : nth - 1;
  }

  async ends(epoch: string, topics: readonly Topic[], upTo: Cursor): Promise<readonly Cursor[]> {
    const first = await this.#first(epoch);
    const ends = await Promise.all(topics.map((topic) => this.#end(topic, first, upTo)));
    const floor = await this.#first(epoch); // what followed an end that is gone may have gone unseen
    return ends.map((end) => (end < floor ? 0 : end));
  }

  async #end(topic: Topic, first: Cursor, upTo: Cursor): Promise<Cursor> {
    const selectors = new SelectorSet([topic]);
    const message = await this.last(selectedSubjects(this.client.prefix, selectors)[0]!);
    const kept = message === null ? [] : keptOf(message.seq, message.data, "");
    let last = kept.findLast(({ seq }) => seq <= upTo);
    await this.#visit(last?.seq ?? first - 1, this.lastMixed * SLOTS, selectors, (each) => {
      last = each;
    });
    return last?.event.end === true ? last.seq : 0;
  }

  /** The oldest number from which nothing is missing. @throws OtherLife */
  async #first(epoch: string): Promise<Cursor> {
    const { config, state } = await this.client.manager.streams.info(this.client.prefix);
    if (config.description?.includes(`epoch=${epoch} `) !== true)
      throw new OtherLife(`the stream ${this.client.prefix} is in another life`);
    return firstOf(state);
  }

  protected last(subject: string): Promise<StoredMsg | null> {
    return this.client.manager.direct.getMessage(this.client.prefix, { last_by_subj: subject });
  }

  /** Every selected event in (from, upTo]. */
  async #visit(
    from: Cursor,
    upTo: Cursor,
    selectors: SelectorSet,
    visit: (kept: Kept) => void,
  ): Promise<void> {
    const count = Math.max(16, Math.min(SCAN, Math.floor(SCAN_BYTES / this.messageBytes)));
    for (let after = from; after < upTo;) {
      const { kept, cursor } = await this.#scan(after, upTo, selectors, count);
      kept.forEach(visit);
      after = cursor;
    }
  }

  /** Selected events after a cursor, of at most so many messages of each subject; and how far that goes. */
  async #scan(
    from: Cursor,
    upTo: Cursor,
    selectors: SelectorSet,
    count: number,
  ): Promise<{ kept: Kept[]; cursor: Cursor }> {
    const subjects = selectedSubjects(this.client.prefix, selectors);
    if (this.lastMixed * SLOTS > from) subjects.push(mixedSubject(this.client.prefix));
    const parts = await Promise.all(subjects.map((subject) => this.#fetch(subject, from, upTo, count)));
    const cursor = Math.min(upTo, ...parts.filter(({ more }) => more).map(({ kept }) => kept.at(-1)!.seq));
    const found = new Map<Cursor, Kept>(); // subjects can have messages in common
    for (const { kept } of parts) {
      for (const each of kept) {
        if (each.seq > from && each.seq <= cursor && selectors.matches(each.event.topic))
          found.set(each.seq, each);
      }
    }
    return { kept: [...found.values()].toSorted((a, b) => a.seq - b.seq), cursor };
  }

  /** The events of the first messages of a subject after a cursor. Leaves nothing behind in the server. */
  async #fetch(
    subject: string,
    from: Cursor,
    upTo: Cursor,
    count: number,
  ): Promise<{ kept: Kept[]; more: boolean }> {
    const info = await this.consumer(Math.floor(from / SLOTS) + 1, subject);
    try {
      const wanted = Math.min(count, info.num_pending);
      const kept: Kept[] = [];
      if (wanted === 0) return { kept, more: false };
      const consumer = this.client.jetstream.consumers.getConsumerFromInfo(info);
      let got = 0;
      let delivered = 0;
      for await (const message of await consumer.fetch({ max_messages: wanted, expires: FETCH_WITHIN })) {
        kept.push(...keptOf(message.seq, message.data, String(message.timestampNanos)));
        delivered = message.info.deliverySequence;
        got++;
        if (message.seq * SLOTS >= upTo) break; // it does not wait for those that are evicted meanwhile
      }
      // Fewer than there were: they are evicted, and what has come goes as far as its last, unless one was lost on the way.
      if (got === 0 || delivered !== got) throw new Error(`the stream gave ${got} of ${wanted} messages`);
      return { kept, more: got < wanted || info.num_pending > wanted };
    } finally {
      this.client.manager.consumers.delete(this.client.prefix, info.name).catch(() => {}); // it goes by itself, later
    }
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
