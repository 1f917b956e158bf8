/**
 * The decoder is handed the bytes of whole lines, or the bytes it kept of one; neither ends inside a character. So every call
 * is a one-shot decode that leaves no state behind, and one decoder serves all streams. A byte order mark is the stream's
 * business, not each call's: `ignoreBOM` stops the decoder from eating a U+FEFF that is text.
 */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** UTF-8 to text; malformed bytes become U+FFFD (WHATWG Encoding, "UTF-8 decode without BOM"). */
export function toText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Text to UTF-8; a lone surrogate becomes U+FFFD. */
export function toBytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/**
 * The same text in memory of its own. Engines make a substring a window on its parent, so that a ten-byte id would keep the
 * megabyte of text alive that it was cut from.
 */
export function detached(text: string): string {
  return text === "" ? text : toText(toBytes(text));
}

/** The first allocation; most lines that are cut by a chunk fit. */
const SMALL_CAPACITY = 256;
/** What is collected before it is turned into text. */
const LARGE_CAPACITY = 64 * 1024;
/** In a large text, a piece of this size is decoded where it is: copying it first would gain nothing. */
const LARGE_PIECE = 4 * 1024;
/** Up to here a loop costs less than the view that `set` needs. */
const FEW_BYTES = 16;

/**
 * Bytes that wait for the rest of their line or event. All but the last 64 KiB of a large text is decoded as it comes: a buffer that
 * doubles would copy it over and over, and touch twice the memory.
 */
export class ByteBuffer {
  #bytes = new Uint8Array(SMALL_CAPACITY);
  /** How many of `#bytes` are in use. */
  #used = 0;
  #length = 0;
  /** What came before `#bytes`, decoded; its decoder carries a character that the end of a part cut in two. */
  #texts: string[] = [];
  #decoder: TextDecoder | undefined;

  /** Bytes held. */
  get length(): number {
    return this.#length;
  }

  /** One of the first bytes; meant for the beginning of a line. */
  at(index: number): number | undefined {
    return index < this.#used ? this.#bytes[index] : undefined;
  }

  append(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    this.#length += count;
    if (count >= LARGE_PIECE && this.#length > LARGE_CAPACITY) {
      this.#decodeUsed();
      this.#decodePart(source.subarray(start, end), true);
      return;
    }
    if (this.#used + count > this.#bytes.length) this.#makeRoom(count);
    if (count > FEW_BYTES) {
      this.#bytes.set(source.subarray(start, end), this.#used);
      this.#used += count;
    } else {
      for (let from = start; from < end; from++) this.#bytes[this.#used++] = source[from] as number;
    }
  }

  /** Everything held, as text; the buffer is empty afterwards. */
  take(): string {
    const bytes = this.#bytes.subarray(0, this.#used);
    let text: string;
    if (this.#decoder === undefined) {
      text = toText(bytes);
    } else {
      this.#decodePart(bytes, false);
      text = this.#texts.join("");
    }
    this.clear();
    return text;
  }

  clear(): void {
    this.#used = 0;
    this.#length = 0;
    if (this.#decoder === undefined) return;
    this.#decoder = undefined;
    this.#texts = [];
    this.#bytes = new Uint8Array(SMALL_CAPACITY);
  }

  #makeRoom(count: number): void {
    if (this.#used + count > LARGE_CAPACITY) {
      this.#decodeUsed();
    } else {
      const bytes = new Uint8Array(Math.max(this.#used + count, this.#bytes.length * 2));
      bytes.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = bytes;
    }
  }

  #decodeUsed(): void {
    if (this.#used > 0) this.#decodePart(this.#bytes.subarray(0, this.#used), true);
    this.#used = 0;
  }

  #decodePart(bytes: Uint8Array, stream: boolean): void {
    this.#decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
    this.#texts.push(this.#decoder.decode(bytes, { stream }));
  }
}
