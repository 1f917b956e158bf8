const LF = 10;
const CR = 13;

/**
 * Cuts the bytes of a stream after each blank line, into the blocks that an event or a comment is sent as. No byte is
 * changed or lost: all blocks together are the stream.
 */
export class WireSplitter {
  readonly #onBlock: (block: Uint8Array) => void;
  #parts: Uint8Array[] = [];
  #lineIsEmpty = true;
  #afterCr = false;
  /** A blank line has ended by CR: the LF that may follow belongs to it. */
  #complete = false;

  constructor(onBlock: (block: Uint8Array) => void) {
    this.#onBlock = onBlock;
  }

  feed(chunk: Uint8Array): void {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      const joins = byte === LF && this.#afterCr;
      if (this.#complete) {
        const end = joins ? at + 1 : at;
        this.#emit(chunk.subarray(start, end));
        start = end;
      }
      this.#afterCr = byte === CR;
      if (joins) continue;
      if (byte !== CR && byte !== LF) {
        this.#lineIsEmpty = false;
        continue;
      }
      const blank = this.#lineIsEmpty;
      this.#lineIsEmpty = true;
      if (blank && byte === CR) this.#complete = true;
      else if (blank) {
        this.#emit(chunk.subarray(start, at + 1));
        start = at + 1;
      }
    }
    if (start < chunk.length) this.#parts.push(chunk.slice(start));
  }

  #emit(rest: Uint8Array): void {
    this.#complete = false;
    const parts = [...this.#parts, rest];
    this.#parts = [];
    const block = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
    let place = 0;
    for (const part of parts) {
      block.set(part, place);
      place += part.length;
    }
    this.#onBlock(block);
  }
}
