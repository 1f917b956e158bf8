import { createEpoch, type Cursor, type EventId, formatEventId } from "../event-id.ts";
import type { SqliteFile } from "./file.ts";

/**
 * The epochs of a file: every opening begins one, whose events carry it in their ids. Events that a file lost with its
 * end, or that an older copy never had, are so told from those that later got their numbers.
 */
export class SqliteEpochs {
  /** In order: the name of each, and the last event before it. */
  readonly #names: string[];
  readonly #begun: Cursor[];
  /** The epoch of this opening, and the last event before it. */
  readonly #own: string;
  readonly #last: Cursor;
  readonly #insert;
  readonly #forget;

  constructor(file: SqliteFile, last: Cursor, random: () => number) {
    const earlier = file.prepare("SELECT name, begun FROM epochs ORDER BY number").all() as [
      string,
      Cursor,
    ][];
    this.#names = earlier.map(([name]) => name);
    this.#begun = earlier.map(([, begun]) => begun);
    this.#own = createEpoch(random);
    this.#last = last;
    this.#insert = file.prepare(
      "INSERT INTO epochs (name, begun) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM epochs WHERE name = ?)",
    );
    this.#forget = file.prepare(
      `DELETE FROM epochs WHERE number <= (SELECT max(number) FROM epochs) - ${MAX_EPOCHS}`,
    );
  }

  /**
   * What the ids carry that are given out now. Until this opening's epoch is on the disk that is the one before: an epoch that
   * the file never learns of, since the disk was full, would cost everybody who has seen it a gap and the whole file again.
   */
  get current(): string {
    return this.#names.at(-1) ?? this.#own;
  }

  /** Whether events can be taken: an earlier opening may have given their numbers to others, that the file has lost. */
  get hasBegun(): boolean {
    return this.#names.at(-1) === this.#own;
  }

  /** True for a file without any: it has nothing to go on with. */
  get isEmpty(): boolean {
    return this.#names.length === 0;
  }

  /** Writes this opening's epoch into the file, as a part of a transaction. */
  write(): void {
    this.#insert.run(this.#own, this.#last, this.#own);
    this.#forget.run();
  }

  /** What was written is on the disk. */
  begin(): void {
    this.#names.push(this.#own);
    this.#begun.push(this.#last);
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

/** How many openings of a file are remembered. */
const MAX_EPOCHS = 10_000;
