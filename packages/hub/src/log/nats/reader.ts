import type { ConsumerInfo } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/transport-node";
import type { BrokerRecord } from "../broker/broker.ts";
import { maxPayload, type NatsClient } from "./client.ts";
import { recordsOf } from "./message.ts";

/** Reads what a consumer of its own gives, in the stream's order. */
export class NatsReader {
  readonly #client: NatsClient;
  readonly #name: string;
  readonly #subject: string;
  #delivered = 0;
  /** How many messages follow what was read, as the server counts them: 2.9 counts some too many where many subjects are. */
  pending: number;

  constructor(client: NatsClient, { name, num_pending: pending, config }: ConsumerInfo) {
    this.#client = client;
    this.#name = name;
    this.#subject = config.filter_subject ?? `${client.prefix}.>`;
    this.pending = pending;
  }

  /** The most bytes that a pull of so many bytes can bring: the server does not give a part of a message. */
  weight(bytes: number): number {
    return Math.max(bytes, maxPayload(this.#client.connection) + AROUND_PAYLOAD);
  }

  /** The next messages that there are, of which `last` is the last one's number. `ended`: there were no more. */
  async pull(
    messages: number,
    bytes: number,
  ): Promise<{ kept: BrokerRecord[]; last: number; count: number; ended: boolean }> {
    const { connection, nats, prefix } = this.#client;
    const inbox = nats.createInbox();
    const subscription = connection.subscribe(inbox, { timeout: ANSWER_WITHIN });
    const wanted = { batch: messages, max_bytes: this.weight(bytes), no_wait: true };
    connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${prefix}.${this.#name}`, JSON.stringify(wanted), {
      reply: inbox,
    });
    const kept: BrokerRecord[] = [];
    let last = 0;
    let count = 0;
    try {
      for await (const message of subscription) {
        const status = message.headers?.code ?? 0;
        if (status !== 0) return { kept, last, count, ended: isEnd(message, count > 0) };
        const { seq, delivered, time, pending } = placeOf(message);
        if (delivered !== ++this.#delivered)
          throw new Error(`message ${delivered} of a consumer came as number ${this.#delivered}`);
        kept.push(...recordsOf(this.#client, { seq, subject: message.subject, data: message.data }, time));
        last = seq;
        this.pending = pending;
        if (++count === messages) return { kept, last, count, ended: false };
      }
    } finally {
      subscription.unsubscribe();
    }
    throw new Error("the connection was closed");
  }

  /**
   * Whether there is a message after this one, up to another one. That a pull has ended does not say so: a consumer that is
   * new may answer at once that it has no messages, though it counts some (nats-server 2.9.10).
   */
  async hasMore(after: number, upTo: number): Promise<boolean> {
    const { manager, prefix } = this.#client;
    const query = { seq: after + 1, next_by_subj: this.#subject };
    const message = await manager.streams.getMessage(prefix, query);
    return message !== null && message.seq <= upTo;
  }

  close(): void {
    const { manager, prefix } = this.#client;
    manager.consumers.delete(prefix, this.#name).catch(() => {}); // it goes by itself, later
  }
}

/** Whether a pull is over because there is no more; it can also be because of its bytes. */
function isEnd({ headers }: Msg, hasSome: boolean): boolean {
  const { code = 0, description = "" } = headers ?? {};
  if (code === 404 || code === 408) return true;
  if (code === 409 && hasSome && /maxbytes/i.test(description)) return false;
  throw new Error(`the server ended a read (${code} ${description})`);
}

/** What the server tells of a message in the subject for its acknowledgement. */
function placeOf({ reply = "" }: Msg): { seq: number; delivered: number; time: string; pending: number } {
  const tokens = reply.split(".");
  // $JS.ACK.[domain.account.]stream.consumer.deliveries.seq.delivered.time.pending[.random]
  const [, , , seq, delivered, time = "", pending] = tokens.slice(tokens.length > 9 ? 4 : 2);
  return { seq: Number(seq), delivered: Number(delivered), time, pending: Number(pending) };
}

/** How long the server may take to begin to answer a pull, in milliseconds. */
const ANSWER_WITHIN = 3000;
/** What a message takes besides its payload: subject, headers, and what the server adds to them. */
const AROUND_PAYLOAD = 16 * 1024;
