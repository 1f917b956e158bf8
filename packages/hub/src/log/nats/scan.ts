import type { Cursor } from "../event-id.ts";
import type { SelectorSet } from "../../topics/topic.ts";
import type { BrokerRecord } from "../broker/broker.ts";
import { SLOTS } from "./message.ts";
import type { Semaphore } from "../broker/semaphore.ts";
import type { NatsReader } from "./reader.ts";

/**
 * Reads what is selected, in order, subject by subject, and goes on where it stopped. It skips what is evicted before it
 * comes there.
 */
export class Scan {
  readonly #selectors: SelectorSet;
  readonly #parts: readonly Part[];
  readonly #isWhole: boolean;
  readonly #reading: Semaphore;
  /** How many messages have been read. */
  messages = 0;
  /** Everything selected in (#from, #upTo]. */
  #kept: readonly BrokerRecord[] = [];
  #from: Cursor;
  #upTo: Cursor;

  /**
   * @param readers of subjects that together have all that is selected after `from`, and perhaps more than that
   * @param isWhole whether they have what messages of several topics hold, too: there may be none
   * @param reading what bounds the bytes that are on their way to all scans
   */
  constructor(
    selectors: SelectorSet,
    from: Cursor,
    readers: readonly NatsReader[],
    isWhole: boolean,
    reading: Semaphore,
  ) {
    this.#isWhole = isWhole;
    this.#reading = reading;
    this.#selectors = selectors;
    this.#from = from;
    this.#upTo = from;
    this.#parts = readers.map((reader) => ({ reader, kept: [], upTo: from }));
  }

  /** @param wantsWhole whether messages of several topics come after the cursor */
  goesOn(after: Cursor, { key }: SelectorSet, wantsWhole: boolean): boolean {
    const reaches = after >= this.#from && after <= this.#upTo;
    return reaches && key === this.#selectors.key && (this.#isWhole || !wantsWhole);
  }

  /** What follows the cursor, up to another one at most. */
  async read(after: Cursor, upTo: Cursor, amount: Amount): Promise<{ kept: BrokerRecord[]; cursor: Cursor }> {
    this.#from = after;
    this.#kept = this.#kept.filter(({ seq }) => seq > after);
    if (this.#kept.length === 0 && this.#upTo < upTo) await this.#advance(upTo, amount);
    return { kept: this.#kept.filter(({ seq }) => seq <= upTo), cursor: Math.min(this.#upTo, upTo) };
  }

  /** How many messages are left: of all subjects, unless they can have some in common; then of the one that has most. */
  get left(): number {
    const left = this.#parts.map(({ reader, kept }) => reader.pending + kept.length);
    return this.#selectors.patterns.length <= 1
      ? left.reduce((sum, each) => sum + each, 0)
      : Math.max(...left);
  }

  async #advance(upTo: Cursor, amount: Amount): Promise<void> {
    await Promise.all(this.#parts.map((part) => this.#fill(part, upTo, amount)));
    this.#upTo = Math.min(...this.#parts.map((part) => part.upTo));
    const found = new Map<Cursor, BrokerRecord>(); // subjects can have messages in common
    for (const part of this.#parts) {
      for (const each of part.kept) {
        if (each.seq > this.#from && each.seq <= this.#upTo && this.#selectors.matches(each.event.topic))
          found.set(each.seq, each);
      }
      part.kept = part.kept.filter(({ seq }) => seq > this.#upTo);
    }
    this.#kept = [...found.values()].toSorted((a, b) => a.seq - b.seq);
  }

  async #fill(part: Part, upTo: Cursor, { messages, bytes }: Amount): Promise<void> {
    if (part.kept.length > 0 || part.upTo >= upTo) return;
    const { reader } = part;
    for (let tries = 1; ; tries++) {
      const pulled = this.#reading.pass(reader.weight(bytes), () => reader.pull(messages, bytes));
      const { kept, last, count, ended } = await pulled;
      this.messages += count;
      part.kept = kept;
      part.upTo = Math.max(part.upTo, last * SLOTS);
      if (!ended || part.upTo >= upTo) return;
      if (!(await reader.hasMore(Math.floor(part.upTo / SLOTS), Math.ceil(upTo / SLOTS)))) {
        part.upTo = upTo;
        return;
      }
      if (count > 0) return;
      if (tries === MOST_TRIES) throw new Error("a consumer does not give what the stream has");
    }
  }

  close(): void {
    for (const { reader } of this.#parts) reader.close();
  }
}

/** Pulls that bring nothing, though there is something. */
const MOST_TRIES = 10;

/** How much is read of each subject at once. */
export interface Amount {
  readonly messages: number;
  readonly bytes: number;
}

/** What one subject has: read, and not yet given. */
interface Part {
  readonly reader: NatsReader;
  kept: readonly BrokerRecord[];
  /** Everything of the subject up to here has been read. */
  upTo: Cursor;
}
