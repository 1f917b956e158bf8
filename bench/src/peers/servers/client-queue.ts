export interface QueuedEvent {
  readonly id: string;
  readonly data: string;
}

/** What one client has yet to be sent, for servers that run a loop for each client. Unbounded, as in the examples they follow. */
export class ClientQueue implements AsyncIterable<QueuedEvent> {
  #events: QueuedEvent[] = [];
  #ended = false;
  #wake: (() => void) | null = null;

  push(event: QueuedEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  /** Ends the loop: the client has gone. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<QueuedEvent> {
    while (!this.#ended) {
      const events = this.#events;
      this.#events = [];
      yield* events;
      if (this.#events.length > 0 || this.#ended) continue;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }
}
