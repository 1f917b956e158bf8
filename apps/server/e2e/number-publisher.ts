import { publish } from "./sse-client.ts";

/**
 * Publishes the numbers from 1 on, one after the other, each again until it is acknowledged: nobody knows, of one that was
 * not, whether it was kept.
 */
export class NumberPublisher implements Disposable {
  /** The newest. */
  number = 0;
  readonly #url: string;
  readonly #padding: string;
  readonly #over = new AbortController();
  #enough = new AbortController();

  /** @param padding what follows a number in its event's data */
  constructor(url: string, padding = "") {
    this.#url = url;
    this.#padding = padding;
  }

  /** Publishes the next number. */
  async next(): Promise<void> {
    const id = String(++this.number);
    const event = { topic: "numbers", data: id + this.#padding, id };
    while (!this.#over.signal.aborted) {
      try {
        await publish(this.#url, event);
        return;
      } catch {
        await Bun.sleep(20);
      }
    }
  }

  /** Publishes number after number until {@link enough}. @param pause milliseconds between two */
  async goOn(pause: number): Promise<void> {
    this.#enough = new AbortController();
    while (!this.#enough.signal.aborted) {
      await this.next();
      await Bun.sleep(pause);
    }
  }

  enough(): void {
    this.#enough.abort();
  }

  [Symbol.dispose](): void {
    this.#enough.abort();
    this.#over.abort();
  }
}
