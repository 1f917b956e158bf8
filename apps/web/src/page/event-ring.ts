import type { WireEvent } from "./wire-reader.ts";

/** Characters of one event's data. */
const MAX_DATA_LENGTH = 16 * 1024;

/** An event with its number in what this reader was sent, from 1 on. */
export interface NumberedEvent extends WireEvent {
  readonly number: number;
}

/** The newest events, at most `size` of them: adding one costs the same however many there were. */
export class EventRing {
  readonly #slots: NumberedEvent[] = [];
  readonly #size: number;
  #total = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** All that were ever added, those that have gone included. */
  get total(): number {
    return this.#total;
  }

  get length(): number {
    return this.#slots.length;
  }

  add(event: WireEvent): void {
    const number = ++this.#total;
    // Written anew: a part of a text keeps the whole of it alive.
    const data =
      event.data.length > MAX_DATA_LENGTH
        ? new TextDecoder().decode(new TextEncoder().encode(event.data.slice(0, MAX_DATA_LENGTH)))
        : event.data;
    this.#slots[(number - 1) % this.#size] = { ...event, data, number };
  }

  /** By its number; undefined when it has gone. */
  get(number: number): NumberedEvent | undefined {
    const event = this.#slots[(number - 1) % this.#size];
    return event?.number === number ? event : undefined;
  }

  clear(): void {
    this.#slots.length = 0;
    this.#total = 0;
  }
}
