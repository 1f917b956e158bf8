import type { Cursor } from "./event-id.ts";
import type { Page } from "./event-log.ts";

/** Fills a page in the order of the log: events that fit, and where some were left out for newer ones. */
export class PageBuilder<Item> {
  /** What was taken, in the order of the log. */
  readonly items: Item[] = [];
  readonly #superseded: Cursor[] = [];
  #left: number;
  #dropped: Cursor = 0;
  #last: Cursor = 0;

  /** @param bytes of events; the first is taken whatever its size */
  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** The next event. False when there is no room: the page ends at {@link end}. */
  take(item: Item, seq: Cursor, bytes: number): boolean {
    if (this.items.length > 0 && bytes > this.#left) return false;
    this.#left -= bytes;
    this.items.push(item);
    this.#superseded.push(this.#dropped);
    this.#dropped = 0;
    this.#last = seq;
    return true;
  }

  /** The next event, when a newer one of its topic and key makes it superfluous. */
  drop(seq: Cursor): void {
    this.#dropped = seq;
    this.#last = seq;
  }

  /** The last event that was considered. */
  get end(): Cursor {
    return this.#last;
  }

  /** For {@link Page.superseded}. */
  get superseded(): NonNullable<Page["superseded"]> {
    return [...this.#superseded, this.#dropped];
  }
}
