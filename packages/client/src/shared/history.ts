import type { ServerSentEvent } from "@sse/protocol";

/** The latest events of a stream, and where it stands. */
export class History {
  /** The id of the last event. */
  cursor: string;
  /** Everything since the stream began is here. */
  complete: boolean;
  #steps: Step[] = [];
  #characters = 0;

  /** @param complete nothing came before the cursor */
  constructor(cursor: string, complete: boolean) {
    this.cursor = cursor;
    this.complete = complete;
  }

  push(step: Step): void {
    this.#steps.push(step);
    this.#characters += step.event.data.length;
    this.cursor = step.event.lastEventId;
    while (this.#steps.length > MAX_STEPS || (this.#characters > MAX_CHARACTERS && this.#steps.length > 1)) {
      this.#characters -= this.#steps.shift()!.event.data.length;
      this.complete = false;
    }
  }

  /** Whether the stream has been at this cursor, as far as is remembered. */
  has(cursor: string): boolean {
    return this.after(cursor) !== null;
  }

  /** What came after a cursor, or after all, `null`; null when that is not remembered. */
  after(cursor: string | null): readonly Step[] | null {
    if (cursor === null) return this.complete ? this.#steps : null;
    if (cursor === this.cursor) return [];
    const at = this.#steps.findLastIndex(({ before }) => before === cursor);
    return at === -1 ? null : this.#steps.slice(at);
  }
}

/** An event, and the cursor that a client had before it. */
export interface Step {
  readonly before: string;
  readonly event: ServerSentEvent;
}

/** What a tab remembers for others, which may be behind it: so many events, and so many characters of data. */
const MAX_STEPS = 1_000;
const MAX_CHARACTERS = 256 * 1024;
