import type { StreamState } from "@nats-io/jetstream";
import { ENDS } from "../retention.ts";
import type { NatsClient } from "./client.ts";
import { type Change, type Changes, EndedTopics, MOST_ROWS } from "./ended-topics.ts";

/**
 * The changes of {@link EndedTopics}, in a stream of their own, for nodes that start:
 *
 *   PREFIX_ends.<upTo>   changes
 *   PREFIX_ends.0        that there were none up to a cursor; replaced by the next one
 *
 * The stream is made when there is something to save. Without it, or without permission for it, a node that starts knows
 * only those ends that the log still holds.
 */
export class Checkpoint {
  readonly #client: NatsClient;
  readonly #name: string;
  #isSaving = false;
  /** The clock's time before which nothing is saved. */
  #pausedUntil = -Infinity;
  /** How long nothing is tried again after the next failure, in milliseconds. */
  #pause = SHORTEST_PAUSE;

  constructor(client: NatsClient) {
    this.#client = client;
    this.#name = `${client.prefix}_ends`;
  }

  /** The table as it was saved; null when there is none of this epoch. */
  async load(epoch: string): Promise<EndedTopics | null> {
    try {
      const saved = (await this.#read()).filter((each) => each.epoch === epoch);
      return saved.length === 0 ? null : EndedTopics.replay(epoch, saved);
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  /** Null when there is nothing. */
  async #retained(): Promise<StreamState | null> {
    try {
      const { state } = await this.#client.manager.streams.info(this.#name);
      return state.messages === 0 ? null : state;
    } catch (error) {
      if ((error as Error).name === "StreamNotFoundError") return null;
      throw error;
    }
  }

  async #read(): Promise<Saved[]> {
    const retained = await this.#retained();
    if (retained === null) return [];
    const { messages: count, last_seq: last } = retained;
    const consumer = await this.#client.jetstream.consumers.get(this.#name);
    const saved: Saved[] = [];
    for await (const { data, seq } of await consumer.fetch({ max_messages: count, expires: ANSWER_WITHIN })) {
      const changes = parse(data);
      if (changes !== null) saved.push(changes);
      if (seq >= last) break;
    }
    void consumer.delete().catch(() => {}); // it goes by itself, later
    return saved;
  }

  /** The log has lost what was saved here: it belongs to other events. */
  async clear(): Promise<void> {
    await this.#client.manager.streams.purge(this.#name).catch((error: unknown) => this.#fail(error));
  }

  /** Saves what has changed, unless another node does that. */
  async save(): Promise<void> {
    const { clock, ends } = this.#client;
    const { table } = ends;
    let changes = table.unsaved();
    if (changes === null || this.#isSaving || clock.now() < this.#pausedUntil) return;
    this.#isSaving = true;
    try {
      const newest = await this.#newest(table.epoch);
      if (newest !== null && newest.upTo > table.savedUpTo) {
        table.noteSaved(newest);
        return;
      }
      while (changes !== null && (await this.#write({ ...changes, epoch: table.epoch }))) {
        table.noteSaved(changes);
        this.#pause = SHORTEST_PAUSE;
        changes = changes.rows.length === MOST_ROWS ? table.unsaved() : null;
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isSaving = false;
    }
  }

  async #newest(epoch: string): Promise<Saved | null> {
    // nats-server 2.9 dies of a question for a message of a stream that is just being made.
    if ((await this.#retained()) === null) return null;
    const query = { last_by_subj: `${this.#name}.>` };
    const message = await this.#client.manager.streams.getMessage(this.#name, query);
    const changes = message === null ? null : parse(message.data);
    return changes?.epoch === epoch ? changes : null;
  }

  /** Whether it is written; if not, there was no stream for it. One is made, and may take a moment to listen. */
  async #write(changes: Saved): Promise<boolean> {
    const { jetstream, manager, config, nats } = this.#client;
    try {
      const subject = `${this.#name}.${changes.rows.length > 0 ? changes.upTo : 0}`;
      await jetstream.publish(subject, JSON.stringify(changes));
      return true;
    } catch (error) {
      if ((error as Error).name !== "JetStreamNotEnabled") throw error;
    }
    await manager.streams.add({
      name: this.#name,
      description: `which topics of ${this.#client.prefix} have ended`,
      subjects: [`${this.#name}.>`],
      num_replicas: config.num_replicas ?? 1,
      max_msgs: ENDS.topics,
      max_msgs_per_subject: 1,
      max_bytes: MOST_BYTES,
      max_age: nats.nanos(ENDS.age),
    });
    return false;
  }

  #fail(error: unknown): void {
    if (this.#client.connection.isClosed()) return;
    this.#pausedUntil = this.#client.clock.now() + this.#pause;
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    this.#client.warn(
      "ends",
      `the stream ${this.#name} cannot be used (${String(error)}): a node that was started since a topic ended does not know of it once the log has evicted the topic's events`,
    );
  }
}

/** As they are kept. */
export type Saved = Changes & { readonly epoch: string };

/** Null for what is not ours. */
function parse(data: Uint8Array): Saved | null {
  try {
    const saved = JSON.parse(new TextDecoder().decode(data)) as Saved;
    const isOurs =
      typeof saved.epoch === "string" &&
      [saved.since, saved.after, saved.upTo].every(Number.isSafeInteger) &&
      saved.rows.every(isChange);
    return isOurs ? saved : null;
  } catch {
    return null;
  }
}

function isChange([topic, seq, time]: Change): boolean {
  return typeof topic === "string" && Number.isSafeInteger(seq) && Number.isSafeInteger(time);
}

/** The most bytes that are kept: more than the topics of common lengths take, and little to read for a node that starts. */
const MOST_BYTES = 16 * 1024 * 1024;
/** How long the server may take to give them, in milliseconds. */
const ANSWER_WITHIN = 3000;
/** A server that was slow once is asked again soon, one that refuses is not asked all the time. In milliseconds. */
const SHORTEST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;
