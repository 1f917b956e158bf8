import type { StreamInfo } from "@nats-io/jetstream";
import type { Cursor } from "../event-id.ts";
import type { NewEvent } from "../new-event.ts";
import type { Topic } from "../../topics/topic.ts";
import {
  type BrokerAppend,
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  type BrokerRecord,
  RECENT,
} from "../broker/broker.ts";
import { Checkpoint } from "./checkpoint.ts";
import { maxPayload, type NatsClient } from "./client.ts";
import { EndedTopics } from "./ended-topics.ts";
import { NatsHistory } from "./history.ts";
import { firstOf, recordsOf, SLOTS } from "./message.ts";
import { NatsPublisher } from "./publisher.ts";
import { refusalOf } from "./refusal.ts";
import { mixedSubject } from "./subjects.ts";
import { NatsTail } from "./tail.ts";

/** A connection to NATS: what its stream is, what follows, and what is published. */
export class NatsSession extends NatsHistory implements BrokerSession {
  readonly #checkpoint: Checkpoint;
  readonly #publisher: NatsPublisher;
  #tail: NatsTail | null = null;
  /** The last event that {@link next} has given: the tail may have read on, over messages that are not ours. */
  #given: Cursor = 0;

  constructor(client: NatsClient) {
    super(client);
    this.#checkpoint = new Checkpoint(client);
    this.#publisher = new NatsPublisher(client);
  }

  async state(seen: Cursor): Promise<BrokerState | null> {
    const info = await this.#recall(await this.#ours());
    if (info === null) return null;
    const { state } = info;
    const [epoch, inherited] = parseDescription(info)!;
    if (state.messages > 0) this.messageBytes = state.bytes / state.messages;
    const at = { seq: Math.ceil(seen / SLOTS) };
    const message = seen > 0 ? await this.client.manager.direct.getMessage(this.client.prefix, at) : null;
    const last = await this.#newest(state);
    void this.#checkpoint.save();
    const { table } = this.client.ends;
    const known = table.epoch === epoch ? Math.floor(table.upTo / SLOTS) : Infinity;
    return {
      epoch,
      first: firstOf(state),
      last,
      events: state.messages,
      bytes: state.bytes,
      recent: Math.max(firstOf(state) - 1, Math.min(state.last_seq - RECENT, known) * SLOTS),
      inherited,
      mark: message === null ? null : nanoseconds(message.timestamp),
      refusal: null,
    };
  }

  /** The stream, if there is one and it is a log. */
  async #ours(): Promise<StreamInfo | null> {
    const info = await this.info();
    if (info === null || parseDescription(info) === null) return null;
    this.client.onFound(info);
    return info;
  }

  /** Takes over which topics have ended, as other nodes, or this one before it was started, have saved it. */
  async #recall(info: StreamInfo | null): Promise<StreamInfo | null> {
    const { ends } = this.client;
    const epoch = info === null ? undefined : parseDescription(info)?.[0];
    if (epoch === undefined || ends.table.epoch === epoch) return info;
    const saved = await this.#checkpoint.load(epoch);
    if (saved === null) return info;
    const now = await this.#ours(); // later than what was saved: the log has at least that
    if (now === null || parseDescription(now)?.[0] !== epoch) return now;
    const last = now.state.last_seq;
    if (saved.upTo > last * SLOTS) await this.#checkpoint.clear();
    else if (saved.upTo >= (last - MOST_REPLAYED) * SLOTS) ends.table = saved;
    return now;
  }

  /** The newest event: messages that are not ours may follow it, and nobody is to wait for them. */
  async #newest(state: StreamInfo["state"]): Promise<Cursor> {
    const { first_seq: first, last_seq: last } = state;
    if (this.#tail !== null) {
      const isRead = this.#tail.last >= last;
      return isRead ? Math.min(Math.max(this.#given, firstOf(state) - 1), last * SLOTS) : last * SLOTS;
    }
    let seq = last;
    for (; seq >= Math.max(first, 1) && seq > last - MOST_LOOKED_AT; seq--) {
      const message = await this.client.manager.direct.getMessage(this.client.prefix, { seq });
      if (message === null || recordsOf(this.client, message, "").length > 0) break;
    }
    return seq * SLOTS;
  }

  async create(epoch: string): Promise<void> {
    const { streams } = this.client.manager;
    const { config, prefix } = this.client;
    const description = describe(epoch, 0);
    let info = await this.info();
    if (info === null) {
      try {
        await streams.add({ ...config, name: prefix, description });
        return;
      } catch (error) {
        info = await this.info(); // another node can have been faster
        if (info === null) throw refusalOf(this.client, error);
      }
    }
    if (parseDescription(info) !== null) return;
    const { subjects, description: other = "", allow_direct: direct } = info.config;
    if (other !== "" || subjects.join() !== `${prefix}.>` || !direct) {
      throw new BrokerRefusal(
        `there is a stream ${prefix} that is something else: choose another prefix, or make it with subjects ${prefix}.>, direct access and no description`,
      );
    }
    await streams.update(prefix, { description });
  }

  async renew(epoch: string, fresh: string): Promise<void> {
    const info = await this.#ours();
    if (info === null || parseDescription(info)?.[0] !== epoch) return;
    // Should two nodes do this at once, the last one's epoch stays, and every node comes to it.
    const description = describe(fresh, info.state.last_seq * SLOTS);
    await this.client.manager.streams.update(this.client.prefix, { description });
  }

  protected override info(): Promise<StreamInfo | null> {
    return super.info().catch((error: unknown) => Promise.reject(refusalOf(this.client, error)));
  }

  async next(
    epoch: string,
    after: Cursor,
    wait: number,
  ): Promise<{ from: Cursor; kept: readonly BrokerRecord[] }> {
    const { ends } = this.client;
    if (ends.table.epoch !== epoch) ends.table = new EndedTopics(epoch, after);
    if (this.#tail?.epoch !== epoch || this.#given !== after) await this.#follow(epoch, after);
    this.#publisher.forget(after);
    const tail = this.#tail!;
    const before = tail.last;
    const { from, messages } = await tail.next(wait);
    const begin = from > before ? from * SLOTS : after; // what stood between them is gone, and not only not ours
    const kept = messages.flatMap((message) =>
      recordsOf(this.client, message, String(message.timestampNanos)),
    );
    for (const { subject, seq } of messages) {
      if (subject.startsWith(`${this.client.prefix}.m.`)) this.lastMixed = seq;
    }
    this.#given = kept.at(-1)?.seq ?? begin;
    if (ends.table.epoch === epoch) {
      if (!ends.table.joins(epoch, begin)) ends.table = new EndedTopics(epoch, begin);
      ends.table.take(kept);
      ends.table.advance(tail.last * SLOTS);
    }
    this.reading.resolve();
    this.reading = Promise.withResolvers();
    return { from: begin, kept };
  }

  async #follow(epoch: string, after: Cursor): Promise<void> {
    this.#tail?.close();
    this.#tail = null;
    const { prefix, jetstream, connection, clock } = this.client;
    const seq = after / SLOTS;
    const consumer = jetstream.consumers.getConsumerFromInfo(await this.consumer(seq + 1));
    // Not before that: nats-server 2.9 dies of a question for a message of a stream that is just being made.
    this.lastMixed = (await this.newestOf(mixedSubject(prefix)))?.seq ?? 0;
    const most = Math.max(2, Math.min(TAIL, Math.floor(TAIL_BYTES / maxPayload(connection))));
    const messages = await consumer.consume({ max_messages: most, expires: 5000, idle_heartbeat: 1000 });
    this.#tail = new NatsTail(epoch, seq, messages, clock);
    this.#given = after;
  }

  async append(
    _: string,
    seen: Cursor,
    batch: readonly NewEvent[],
    known: (topic: Topic, idempotencyKey: string) => Cursor | undefined,
  ): Promise<BrokerAppend> {
    return { cursors: await this.#publisher.append(seen, batch, known), mark: null };
  }

  close(): void {
    this.#tail?.close();
    void this.client.connection.close();
  }
}

function describe(epoch: string, inherited: Cursor): string {
  return `sse epoch=${epoch} inherited=${inherited}`;
}

/** Null when the stream is no log. */
function parseDescription({ config }: StreamInfo): [epoch: string, inherited: Cursor] | null {
  const match = DESCRIPTION.exec(config.description ?? "");
  return match === null ? null : [match[1]!, Number(match[2])];
}

/** A time as RFC 3339 has it, in nanoseconds since 1970: what a message says of itself. */
function nanoseconds(timestamp: string): string {
  const [seconds, fraction = ""] = timestamp.replace("Z", "").split(".");
  return `${Date.parse(`${seconds}Z`) / 1000}${fraction.padEnd(9, "0")}`;
}

/** Where the epoch of a stream is kept: its configuration is all that outlives its messages. */
const DESCRIPTION = /^sse epoch=([0-9a-z]{10}) inherited=([0-9]+)$/;

/** The most messages, and bytes of the largest ones that there can be, that the server sends without being asked again. */
const TAIL = 256;
const TAIL_BYTES = 32 * 1024 * 1024;
/** How many of the newest messages are looked at to find one that is ours. */
const MOST_LOOKED_AT = 64;
/** How many messages a node replays at most, when it starts, to learn which topics have ended. */
const MOST_REPLAYED = 10 * RECENT;
