const LF = 10;
const CR = 13;
const COLON = 58;

/** Bytes kept of one block. */
export const MAX_RAW_BYTES = 16 * 1024;

/**
 * Cuts the bytes of a stream into the blocks that events are sent as: after each blank line, and after a comment that
 * stands before an event. No byte is changed or lost. A stream whose lines end by CR alone is not cut.
 */
export class WireSplitter {
  readonly #raw = new Uint8Array(MAX_RAW_BYTES);
  #size = 0;
  #complete = false;
  /** The first byte of the line at hand; null before it. */
  #first: number | null = null;
  #isFirstLine = true;

  /** How many bytes the block has that the last piece is of, so far. */
  get size(): number {
    return this.#size;
  }

  /** The first of these bytes. */
  get raw(): Uint8Array {
    return this.#raw.slice(0, this.#size);
  }

  /** The chunk in pieces of one block each; a block is one piece, or several. */
  *pieces(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (byte !== LF) {
        if (byte !== CR) this.#first ??= byte;
        continue;
      }
      const ends = this.#first === null || (this.#first === COLON && this.#isFirstLine);
      this.#first = null;
      this.#isFirstLine = ends;
      if (!ends) continue;
      yield this.#take(chunk.subarray(start, (start = at + 1)), true);
    }
    if (start < chunk.length) yield this.#take(chunk.subarray(start), false);
  }

  #take(piece: Uint8Array, complete: boolean): Uint8Array {
    if (this.#complete) this.#size = 0;
    this.#complete = complete;
    const room = Math.max(0, MAX_RAW_BYTES - this.#size);
    if (room > 0) this.#raw.set(piece.subarray(0, room), this.#size);
    this.#size += piece.length;
    return piece;
  }
}
