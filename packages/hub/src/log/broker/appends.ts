import type { Clock } from "../../clock.ts";
import { HubError } from "../../errors.ts";
import type { NewEvent } from "../new-event.ts";
import { type EventId, formatEventId } from "../event-id.ts";
import { ENTRY_BYTES } from "../retention.ts";
import { type Broker, BrokerRefusal, type BrokerSession, EpochMismatch } from "./broker.ts";
import { words } from "./connection.ts";
import type { BrokerFault } from "./fault.ts";
import type { Follower } from "./follower.ts";
import { Semaphore, SemaphoreTimeout } from "./semaphore.ts";
import { within } from "./timing.ts";

/** Appends on their way to a broker, in order, and bounded in bytes: a broker that hangs must not fill the memory. */
export class Appends {
  readonly #broker: Broker;
  readonly #follower: Follower;
  readonly #fault: BrokerFault;
  readonly #clock: Clock;
  readonly #semaphore: Semaphore;
  readonly #unanswered = new Set<Promise<unknown>>();

  constructor(broker: Broker, follower: Follower, fault: BrokerFault, clock: Clock) {
    this.#broker = broker;
    this.#follower = follower;
    this.#fault = fault;
    this.#clock = clock;
    this.#semaphore = new Semaphore(APPENDING_BYTES, QUEUED_BYTES, clock);
  }

  /** As `EventLog.append`. */
  async add(batch: readonly NewEvent[]): Promise<readonly EventId[]> {
    this.#session();
    const deadline = this.#clock.now() + APPEND_WITHIN;
    const append = () => this.#append(batch, deadline);
    const answer = this.#semaphore.pass(weightOf(batch), append, QUEUED_WITHIN);
    this.#unanswered.add(answer);
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof SemaphoreTimeout)) throw error;
      throw new HubError("log-failed", "more is published than the log takes; nothing was published");
    } finally {
      this.#unanswered.delete(answer);
    }
  }

  /** Resolves when all are answered. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#unanswered);
  }

  async #append(batch: readonly NewEvent[], deadline: number): Promise<readonly EventId[]> {
    const session = this.#session(); // it can be lost since this began to wait
    const { epoch, recent } = this.#follower;
    try {
      const answer = session.append(epoch, recent.last, batch, (topic, id) => recent.published(topic, id));
      const { cursors, mark } = await within(this.#clock, deadline - this.#clock.now(), answer);
      if (mark !== null) this.#follower.acknowledge(epoch, Math.max(...cursors), mark);
      return cursors.map((cursor) => formatEventId(epoch, cursor));
    } catch (error) {
      throw this.#explain(session, error, batch);
    }
  }

  #session(): BrokerSession {
    const { session } = this.#follower.connection;
    if (session !== null) return session;
    const { reason } = this.#fault;
    throw new HubError("log-failed", `the log is out of reach (${reason}); nothing was published`);
  }

  #explain(session: BrokerSession, error: unknown, batch: readonly NewEvent[]): HubError {
    if (error instanceof HubError) return error;
    if (error instanceof EpochMismatch || error instanceof BrokerRefusal) {
      if (error instanceof EpochMismatch)
        session.close(); // what it is now is found out anew
      else this.#fault.refuse(`${this.#broker.name}: ${error.message}`);
      const message = `the log does not take it (${error.message}); nothing was published`;
      return new HubError("log-failed", message, { cause: error });
    }
    // Several publishers can be in a batch, and are told the same.
    const advice = batch.every(({ idempotencyKey }) => idempotencyKey !== "")
      ? "publish again with the same id to be sure"
      : "publish again, with the same id where there was one; what had none may be there twice then";
    return new HubError(
      "log-unanswered",
      `no answer from the log (${words(error)}): it may have been published; ${advice}`,
      { cause: error },
    );
  }
}

/** What an append holds in memory, in bytes, roughly. */
function weightOf(batch: readonly NewEvent[]): number {
  let weight = 0;
  for (const { topic, key, idempotencyKey, type, data } of batch)
    weight += topic.length + key.length + idempotencyKey.length + type.length + data.length + ENTRY_BYTES;
  return weight;
}

/** How long an append may take, in milliseconds, and how much of that it may wait for those before it. Its publisher waits. */
const APPEND_WITHIN = 5000;
const QUEUED_WITHIN = 3000;
/** The most bytes of appends that the broker has yet to answer, and that wait behind those. */
const APPENDING_BYTES = 4 * 1024 * 1024;
const QUEUED_BYTES = 64 * 1024 * 1024;
