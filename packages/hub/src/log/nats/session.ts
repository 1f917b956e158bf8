import type { StreamInfo } from "@nats-io/jetstream";
import type { Cursor } from "../event-id.ts";
import { HubError } from "../../errors.ts";
import type { NewEvent } from "../../publish/message.ts";
import type { Topic } from "../../topics/topic.ts";
import {
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  type BrokerRecord,
  RECENT,
} from "../broker/broker.ts";
import { idempotencyName } from "../numbering.ts";
import { Semaphore, SemaphoreTimeout } from "../broker/semaphore.ts";
import { NatsHistory } from "./history.ts";
import { firstOf, recordsOf, payloadOf, repetitions, SLOTS } from "./message.ts";
import { mixedSubject, subjectOf } from "./subjects.ts";
import { NatsTail } from "./tail.ts";

/** JetStream's codes for errors: nats-server, server/errors.json. */
const WRONG_LAST_SEQUENCE = 10_071;
const NO_CLUSTER_FOR_REPLICAS = 10_074;
const NO_SERVERS_FOR_REPLICAS = 10_005;
/** Where the epoch of a stream is kept: its configuration is all that outlives its messages. */
const DESCRIPTION = /^sse epoch=([0-9a-z]{10}) inherited=([0-9]+)$/;

/** What the server adds to a payload: the headers of a publish, roughly. */
const HEADERS = 1024;
/** The most bytes that are on their way to the server: what keeps the connection alive must not wait behind more. */
const PUBLISHING = 4 * 1024 * 1024;
/** The most bytes that wait to go there, and for how long, in milliseconds. */
const MOST_WAITING = 64 * 1024 * 1024;
const LONGEST_WAIT = 3000;
/** The most messages, and bytes of the largest ones that there can be, that the server sends without being asked again. */
const TAIL = 256;
const TAIL_BYTES = 32 * 1024 * 1024;

/** A connection to NATS: what its stream is, what follows, and what is published. */
export class NatsSession extends NatsHistory implements BrokerSession {
  #tail: NatsTail | null = null;
  /** The last message that was acknowledged here. */
  #acknowledged = 0;
  readonly #publishing = new Semaphore(PUBLISHING, MOST_WAITING);

  get #maxPayload(): number {
    return this.client.connection.info?.max_payload ?? 2 ** 20;
  }

  async state(seen: Cursor, fresh: string): Promise<BrokerState> {
    const { config, state } = await this.#info(fresh);
    const [, epoch = "", inherited = "0"] = DESCRIPTION.exec(config.description ?? "") ?? [];
    if (epoch === "") throw new Error(`the stream ${this.client.prefix} lost its epoch`);
    if (state.messages > 0) this.messageBytes = state.bytes / state.messages;
    const message =
      seen > 0
        ? await this.client.manager.direct.getMessage(this.client.prefix, { seq: seen / SLOTS })
        : null;
    return {
      epoch,
      first: firstOf(state),
      last: state.last_seq * SLOTS,
      events: state.messages,
      bytes: state.bytes,
      recent: Math.max(firstOf(state) - 1, (state.last_seq - RECENT) * SLOTS),
      inherited: Number(inherited),
      mark: message === null ? null : nanoseconds(message.timestamp),
      refusal: null,
    };
  }

  /** The stream, which is made, or made ours, when it is not yet. */
  async #info(fresh: string): Promise<StreamInfo> {
    const { streams } = this.client.manager;
    let info: StreamInfo;
    try {
      info = await streams.info(this.client.prefix);
    } catch (error) {
      if ((error as Error).name !== "StreamNotFoundError") throw this.#refusal(error);
      try {
        return await streams.add({
          ...this.client.config,
          name: this.client.prefix,
          description: describe(fresh, 0),
        });
      } catch (late) {
        // Another node can have been faster, with an epoch of its own.
        info = await streams.info(this.client.prefix).catch(() => Promise.reject(this.#refusal(late)));
      }
    }
    const { subjects, description = "", allow_direct: direct } = info.config;
    if (DESCRIPTION.test(description)) {
      this.client.onFound(info);
      return info;
    }
    if (description !== "" || subjects.join() !== `${this.client.prefix}.>` || !direct) {
      throw new BrokerRefusal(
        `there is a stream ${this.client.prefix} that is something else: choose another prefix, or make it with subjects ${this.client.prefix}.>, direct access and no description`,
      );
    }
    await streams.update(this.client.prefix, { description: describe(fresh, 0) });
    return await this.#info(fresh);
  }

  /** What the server answers with 5xx is that it cannot do it at the moment; most of it. */
  #refusal(error: unknown): unknown {
    if (!(error instanceof this.client.nats.JetStreamApiError)) return error;
    const { code, status, message } = error;
    const { num_replicas: replicas } = this.client.config;
    if (code === NO_CLUSTER_FOR_REPLICAS || (code === NO_SERVERS_FOR_REPLICAS && replicas !== 1)) {
      return new BrokerRefusal(
        `replicas=${replicas} wants as many servers with JetStream in a cluster, and there are not so many (${message})`,
        { cause: error },
      );
    }
    return status < 500 ? new BrokerRefusal(message, { cause: error }) : error;
  }

  async renew(epoch: string, fresh: string): Promise<void> {
    const { config, state } = await this.#info(fresh);
    if (!config.description?.includes(`epoch=${epoch} `)) return;
    // Should two nodes do this at once, the last one's epoch stays, and every node comes to it.
    await this.client.manager.streams.update(this.client.prefix, {
      description: describe(fresh, state.last_seq * SLOTS),
    });
  }

  async next(
    epoch: string,
    after: Cursor,
    wait: number,
  ): Promise<{ from: Cursor; kept: readonly BrokerRecord[] }> {
    const seq = after / SLOTS;
    if (this.#tail?.epoch !== epoch || this.#tail.last !== seq) {
      this.#tail?.close();
      this.#tail = null;
      // Of the server that leads: another one could be behind, and hide one.
      const mixed = { last_by_subj: mixedSubject(this.client.prefix) };
      this.lastMixed = (await this.client.manager.streams.getMessage(this.client.prefix, mixed))?.seq ?? 0;
      const consumer = this.client.jetstream.consumers.getConsumerFromInfo(await this.consumer(seq + 1));
      const most = Math.max(2, Math.min(TAIL, Math.floor(TAIL_BYTES / this.#maxPayload)));
      const messages = await consumer.consume({ max_messages: most, expires: 5000, idle_heartbeat: 1000 });
      this.#tail = new NatsTail(epoch, seq, messages);
    }
    const { from, messages } = await this.#tail.next(wait);
    const kept = messages.flatMap((message) =>
      recordsOf(message.seq, message.data, String(message.timestampNanos)),
    );
    for (const { subject, seq: number } of messages) {
      if (subject.startsWith(`${this.client.prefix}.m.`)) this.lastMixed = number;
    }
    return { from: from * SLOTS, kept };
  }

  async append(
    epoch: string,
    seen: Cursor,
    batch: readonly NewEvent[],
    known: (topic: Topic, idempotencyKey: string) => Cursor | undefined,
  ): Promise<readonly Cursor[]> {
    const hasIds = batch.some(({ idempotencyKey }) => idempotencyKey !== "");
    // What is in memory tells the ids of arrays: it has to be all that was acknowledged. Subjects tell those of events.
    if (hasIds && batch.length > 1) {
      while ((this.#tail?.last ?? 0) < this.#acknowledged && !this.client.connection.isClosed())
        await Bun.sleep(1);
    }
    const { answers, fresh } = repetitions(batch, known);
    if (fresh.length === 0) return answers;
    if (fresh.length > SLOTS) throw tooLarge(`${fresh.length} events are more than the ${SLOTS}`);
    const payload = payloadOf(fresh);
    const most = this.#maxPayload - HEADERS;
    if (payload.length > most) throw tooLarge(`${payload.length} bytes are more than the ${most}`);
    const once = fresh.some(({ idempotencyKey }) => idempotencyKey !== "");
    const { seq, isNew } = await this.#publish(subjectOf(this.client.prefix, fresh), payload, once);
    if (!isNew) {
      // Somebody was faster, or it is a repetition of what is no longer in memory.
      const there = await this.#keptAt(seq);
      return await this.append(
        epoch,
        seen,
        batch,
        (topic, id) => there.get(idempotencyName(topic, id)) ?? known(topic, id),
      );
    }
    this.#acknowledged = Math.max(this.#acknowledged, seq);
    if (seq * SLOTS <= seen) throw new Error(`the stream ${this.client.prefix} has lost its end`);
    const first = seq * SLOTS - fresh.length + 1;
    return answers.map((answer) => (answer < 0 ? first - answer - 1 : answer));
  }

  /** The number of the message; or of the one that is there, when there is to be one. */
  async #publish(
    subject: string,
    payload: Uint8Array,
    once: boolean,
  ): Promise<{ seq: number; isNew: boolean }> {
    try {
      const expect = once ? { expect: { lastSubjectSequence: 0 } } : {};
      const publish = () => this.client.jetstream.publish(subject, payload, expect);
      const { seq } = await this.#publishing.pass(payload.length + HEADERS, publish, LONGEST_WAIT);
      return { seq, isNew: true };
    } catch (error) {
      if (error instanceof SemaphoreTimeout) {
        throw new HubError("log-failed", "more is published than NATS takes; nothing was published");
      }
      if (!(error instanceof this.client.nats.JetStreamApiError)) throw error;
      const there = /last sequence: ([1-9][0-9]*)/.exec(error.message);
      if (error.code === WRONG_LAST_SEQUENCE && there !== null)
        return { seq: Number(there[1]), isNew: false };
      throw this.#refusal(error);
    }
  }

  /** The numbers of a message's events by their publishers' ids. */
  async #keptAt(seq: number): Promise<ReadonlyMap<string, Cursor>> {
    const message = await this.client.manager.direct.getMessage(this.client.prefix, { seq });
    const kept = message === null ? [] : recordsOf(seq, message.data, "");
    return new Map(
      kept.map((each) => [idempotencyName(each.event.topic, each.event.idempotencyKey), each.seq]),
    );
  }

  close(): void {
    this.#tail?.close();
    void this.client.connection.close();
  }
}

function describe(epoch: string, inherited: Cursor): string {
  return `sse epoch=${epoch} inherited=${inherited}`;
}

/** A time as RFC 3339 has it, in nanoseconds since 1970: what a message says of itself. */
function nanoseconds(timestamp: string): string {
  const [seconds, fraction = ""] = timestamp.replace("Z", "").split(".");
  return `${Date.parse(`${seconds}Z`) / 1000}${fraction.padEnd(9, "0")}`;
}

function tooLarge(what: string): HubError {
  return new HubError("too-large", `${what} that NATS takes at once; send less together`);
}
