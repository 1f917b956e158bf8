import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import type { Clock } from "../../clock.ts";

/** The messages of a stream from one on, without a hole but before the first one. */
export class NatsTail {
  readonly epoch: string;
  readonly #messages: ConsumerMessages;
  readonly #clock: Clock;
  #last: number;
  #began = false;
  #waiting: JsMsg[] = [];
  #fault: Error | null = null;
  #arrival = Promise.withResolvers<void>();
  #taken = Promise.withResolvers<void>();

  constructor(epoch: string, last: number, messages: ConsumerMessages, clock: Clock) {
    this.epoch = epoch;
    this.#clock = clock;
    this.#last = last;
    this.#messages = messages;
    void this.#receive();
    void this.#watch();
  }

  /** The last message that was taken. */
  get last(): number {
    return this.#last;
  }

  /** What has come, or comes within `wait` milliseconds. `from` is not the last one of before when some are gone. */
  async next(wait: number): Promise<{ from: number; messages: readonly JsMsg[] }> {
    if (this.#waiting.length === 0 && this.#fault === null) {
      const cancel = this.#clock.after(wait, this.#arrival.resolve);
      await this.#arrival.promise;
      cancel();
    }
    this.#arrival = Promise.withResolvers();
    const messages = this.#waiting;
    if (messages.length === 0) {
      if (this.#fault !== null) throw this.#fault;
      return { from: this.#last, messages };
    }
    this.#waiting = [];
    this.#taken.resolve();
    const from = this.#began ? this.#last : messages[0]!.seq - 1;
    this.#began = true;
    this.#last = from;
    for (const { seq } of messages) {
      if (seq !== this.#last + 1) throw new Error(`message ${seq} came after ${this.#last}`);
      this.#last = seq;
    }
    return { from, messages };
  }

  async #receive(): Promise<void> {
    try {
      for await (const message of this.#messages) {
        this.#waiting.push(message);
        this.#arrival.resolve();
        if (this.#waiting.length < MOST_WAITING) continue;
        this.#taken = Promise.withResolvers();
        await this.#taken.promise;
      }
      this.#fail("the stream's consumer ended");
    } catch (error) {
      this.#fail(String(error));
    }
  }

  async #watch(): Promise<void> {
    try {
      for await (const { type } of this.#messages.status())
        if (ENDED.has(type)) this.#fail(type.replaceAll("_", " "));
    } catch (error) {
      this.#fail(String(error)); // nobody else would hear of it, and that ends a process
    }
  }

  #fail(why: string): void {
    this.#fault ??= new Error(why);
    this.#arrival.resolve();
  }

  close(): void {
    this.#messages.stop();
    this.#taken.resolve();
  }
}

/** How many messages may wait here to be taken. */
const MOST_WAITING = 1024;
/** What a consumer tells when nothing comes from it any more. */
const ENDED = new Set([
  "consumer_deleted",
  "consumer_not_found",
  "stream_not_found",
  "heartbeats_missed",
  "no_responders",
]);
