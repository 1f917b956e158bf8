import { type EventLog, MemoryLog, type TailListener } from "../src/index.ts";

/** A log whose store can be lost: then it goes on with the next one, empty or not. */
export class MortalLog implements EventLog {
  #store: MemoryLog;
  readonly #listeners = new Map<TailListener, () => void>();

  constructor(store: MemoryLog) {
    this.#store = store;
  }

  reset(store: MemoryLog): void {
    this.#store = store;
    for (const [listener, stop] of this.#listeners) {
      stop();
      this.#listeners.set(listener, store.tail(listener));
      listener.reset();
    }
  }

  fault: string | null = null;
  append = (...batch: Parameters<EventLog["append"]>) => this.#store.append(...batch);
  read = (...query: Parameters<EventLog["read"]>) => this.#store.read(...query);
  position = (...query: Parameters<EventLog["position"]>) => this.#store.position(...query);
  bounds = () => this.#store.bounds();
  close = () => this.#store.close();

  tail(listener: TailListener): () => void {
    this.#listeners.set(listener, this.#store.tail(listener));
    return () => {
      this.#listeners.get(listener)?.();
      this.#listeners.delete(listener);
    };
  }
}
