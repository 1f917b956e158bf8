const LF = 10;
const CR = 13;
const COLON = 58;

/**
 * Cuts the bytes of a stream into the blocks that an event or a comment is sent as: after each blank line, and after a
 * comment that begins a block, as a heartbeat does, which has no blank line after it. No byte is changed or lost: all
 * blocks together are the stream.
 */
export class WireSplitter {
  readonly #onBlock: (block: Uint8Array) => void;
  #parts: Uint8Array[] = [];
  /** The line at hand, as far as it is there. A comment within an event is like a field: part of its block. */
  #line: "empty" | "comment" | "field" = "empty";
  /** Lines of the block at hand came before this one. */
  #isBegun = false;
  #afterCr = false;
  /** The last line of a block has ended by CR: the LF that may follow belongs to it. */
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
        if (this.#line === "empty") this.#line = byte === COLON && !this.#isBegun ? "comment" : "field";
        continue;
      }
      this.#isBegun = this.#line === "field";
      this.#line = "empty";
      if (this.#isBegun) continue;
      if (byte === CR) this.#complete = true;
      else {
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
