import { createEpoch, type Cursor, type EventId, formatEventId } from "../event-id.ts";
import type { SqliteFile } from "./file.ts";

/** How many openings of a file are remembered. */
const MAX_EPOCHS = 10_000;

/**
 * The epochs of a file: every opening begins one, whose events carry it in their ids. Events that a file lost with its
 * end, or that an older copy never had, are so told from those that later got their numbers.
 */
export class SqliteEpochs {
  /** What this opening gives to its events. */
  readonly current: string;
  /** In order, this opening's last: its name, and the last event before it. */
  readonly #names: string[];
  readonly #begun: Cursor[];
  readonly #keep;
  readonly #forget;
  /** Whether the file knows of this opening. */
  #isKept = false;

  constructor(file: SqliteFile, last: Cursor, random: () => number) {
    const earlier = file.prepare("SELECT name, begun FROM epochs ORDER BY number").values() as [
      string,
      Cursor,
    ][];
    this.current = createEpoch(random);
    this.#names = [...earlier.map(([name]) => name), this.current];
    this.#begun = [...earlier.map(([, begun]) => begun), last];
    this.#keep = file.prepare("INSERT INTO epochs (name, begun) VALUES (?, ?)");
    this.#forget = file.prepare(
      `DELETE FROM epochs WHERE number <= (SELECT max(number) FROM epochs) - ${MAX_EPOCHS}`,
    );
  }

  /** Writes this opening down, with the first change that it makes. @returns what to call once that is committed */
  keep(): () => void {
    if (this.#isKept) return () => {};
    this.#keep.run(this.current, this.#begun.at(-1)!);
    this.#forget.run();
    return () => (this.#isKept = true);
  }

  /** The last event of which an id of this epoch can tell; undefined for an epoch that is not known. */
  end(epoch: string): Cursor | undefined {
    const place = this.#names.indexOf(epoch);
    return place === -1 ? undefined : this.#begun[place + 1];
  }

  /** The epoch in which the event was given its number. */
  of(seq: Cursor): string {
    let low = 0;
    let high = this.#begun.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#begun[middle]! < seq) low = middle + 1;
      else high = middle;
    }
    return this.#names[Math.max(0, low - 1)]!;
  }

  id(seq: Cursor): EventId {
    return formatEventId(this.of(seq), seq);
  }
}
