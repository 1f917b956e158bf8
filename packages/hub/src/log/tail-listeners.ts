import type { StoredEvent } from "./stored-event.ts";
import type { TailListener } from "./event-log.ts";

/** Those who listen to the tail of a log. One that throws harms nobody else; it is told on standard error. */
export class TailListeners implements TailListener {
  readonly #listeners = new Set<TailListener>();
  /** The call that is being made, and those that come after it because a listener appends. */
  readonly #calls: (() => void)[] = [];

  /** Tells the listener what happens from now on, until the returned function is called. */
  add(listener: TailListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  append(entries: readonly StoredEvent[]): void {
    if (entries.length > 0) this.#tell((listener) => listener.append(entries));
  }

  reset(): void {
    this.#tell((listener) => listener.reset());
  }

  skip(): void {
    this.#tell((listener) => listener.skip());
  }

  #tell(tell: (listener: TailListener) => void): void {
    const isTelling = this.#calls.length > 0;
    for (const listener of this.#listeners) this.#calls.push(() => tell(listener));
    if (isTelling) return; // everybody is told of what came before first
    for (let call; (call = this.#calls[0]) !== undefined; this.#calls.shift()) {
      try {
        call();
      } catch (error) {
        console.error(error);
      }
    }
  }
}
