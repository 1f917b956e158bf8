import { HubError } from "../../errors.ts";
import type { NewEvent } from "../new-event.ts";
import type { Topic } from "../../topics/topic.ts";
import { Semaphore } from "../broker/semaphore.ts";
import type { Cursor } from "../event-id.ts";
import { idempotencyName } from "../numbering.ts";
import { maxPayload, type NatsClient } from "./client.ts";
import { payloadOf, recordsOf, repetitions, SLOTS } from "./message.ts";
import { refusalOf } from "./refusal.ts";
import { subjectOf } from "./subjects.ts";

/** Publishes events, in the order in which they come, and those with ids once. */
export class NatsPublisher {
  readonly #client: NatsClient;
  readonly #order = new Semaphore(1);
  /** By publisher's id, the acknowledged events that may not have come back yet; oldest first. */
  readonly #acknowledged = new Map<string, Cursor>();

  constructor(client: NatsClient) {
    this.#client = client;
  }

  /** As `BrokerSession.append`. */
  append(seen: Cursor, batch: readonly NewEvent[], known: Known): Promise<readonly Cursor[]> {
    // The server keeps the order in which messages are sent. Only an array can need a second message, when a part of it is
    // there already. What comes after the array waits for its answer, or it would stand before that part.
    const isPartial = batch.length > 1 && batch.some(({ idempotencyKey }) => idempotencyKey !== "");
    return this.#order.pass(isPartial ? EXCLUSIVE : SHARED, () => this.#append(seen, batch, known));
  }

  /** Everything up to here has come back: who publishes knows its ids. */
  forget(upTo: Cursor): void {
    for (const [name, seq] of this.#acknowledged) {
      if (seq > upTo) return;
      this.#acknowledged.delete(name);
    }
  }

  async #append(seen: Cursor, batch: readonly NewEvent[], known: Known): Promise<readonly Cursor[]> {
    const { prefix, manager } = this.#client;
    const there = new Map<string, Cursor>();
    for (let attempt = 0, expected = 0; attempt < ATTEMPTS; attempt++) {
      const { answers, fresh } = repetitions(batch, (topic, id) => {
        const name = idempotencyName(topic, id);
        return there.get(name) ?? this.#acknowledged.get(name) ?? known(topic, id);
      });
      if (fresh.length === 0) return answers;
      const { seq, isNew } = await this.#publish(fresh, expected);
      if (isNew) {
        if (seq * SLOTS <= seen) throw new Error(`the stream ${prefix} has lost its end`);
        const first = seq * SLOTS - fresh.length + 1;
        this.#acknowledge(fresh, first);
        return answers.map((answer) => (answer < 0 ? first - answer - 1 : answer));
      }
      // Another node was faster, or it is a repetition of what is no longer in memory; or the message there is not ours.
      const message = await manager.direct.getMessage(prefix, { seq });
      const kept = message === null ? [] : recordsOf(this.#client, message, "");
      for (const { event, seq: number } of kept)
        there.set(idempotencyName(event.topic, event.idempotencyKey), number);
      expected = message !== null && kept.length === 0 ? seq : 0;
    }
    throw new Error(`the stream ${prefix} has changed with each of ${ATTEMPTS} attempts`);
  }

  #acknowledge(events: readonly NewEvent[], first: Cursor): void {
    for (const [at, { topic, idempotencyKey }] of events.entries()) {
      if (idempotencyKey !== "") this.#acknowledged.set(idempotencyName(topic, idempotencyKey), first + at);
    }
  }

  /**
   * The number of the new message; or, for events with ids, of the one whose place it would take.
   *
   * @param expected the message that may be in its place
   */
  async #publish(events: readonly NewEvent[], expected: number): Promise<{ seq: number; isNew: boolean }> {
    if (events.length > SLOTS) throw tooLarge(`${events.length} events are more than the ${SLOTS}`);
    const { prefix, nats, jetstream, connection } = this.#client;
    const payload = payloadOf(events);
    const most = maxPayload(connection) - HEADERS;
    if (payload.length > most) throw tooLarge(`${payload.length} bytes are more than the ${most}`);
    const once = events.some(({ idempotencyKey }) => idempotencyKey !== "");
    const options = once ? { expect: { lastSubjectSequence: expected } } : {};
    try {
      const { seq } = await jetstream.publish(subjectOf(prefix, events), payload, options);
      return { seq, isNew: true };
    } catch (error) {
      if (!(error instanceof nats.JetStreamApiError)) throw error;
      const there = /last sequence: ([0-9]+)/.exec(error.message);
      if (error.code !== WRONG_LAST_SEQUENCE || there === null) throw refusalOf(this.#client, error);
      return { seq: Number(there[1]), isNew: false };
    }
  }
}

function tooLarge(what: string): HubError {
  return new HubError("too-large", `${what} that NATS takes at once; send less together`);
}

/** JetStream's code for a message whose subject is taken: nats-server, server/errors.json. */
const WRONG_LAST_SEQUENCE = 10_071;
/** What the server adds to a payload: the headers of a publish, roughly. */
const HEADERS = 1024;
/** How often an append is tried whose subject is taken. */
const ATTEMPTS = 10;
/** What an append takes of a semaphore of 1: nothing; or more than there is, so that all others have to wait. */
const SHARED = 0;
const EXCLUSIVE = 2;

type Known = (topic: Topic, idempotencyKey: string) => Cursor | undefined;
