import type { StoredEvent } from "../publish/message.ts";
import type { TailListener } from "./event-log.ts";

/** Those who listen to the tail of a log. */
export class Tail implements TailListener {
  readonly #listeners = new Set<TailListener>();

  add(listener: TailListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  append(entries: readonly StoredEvent[]): void {
    if (entries.length > 0) for (const listener of this.#listeners) listener.append(entries);
  }

  reset(): void {
    for (const listener of this.#listeners) listener.reset();
  }

  skip(): void {
    for (const listener of this.#listeners) listener.skip();
  }
}
