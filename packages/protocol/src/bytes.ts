/** UTF-8 to text; malformed bytes become U+FFFD (WHATWG Encoding, "UTF-8 decode without BOM"). */
export function toText(bytes: Uint8Array, start: number, end: number): string {
  if (utf8Slice !== undefined && end - start < LONG) return utf8Slice.call(bytes, start, end);
  return decoder.decode(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
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
  const bytes = toBytes(text);
  return toText(bytes, 0, bytes.length);
}

/**
 * The beginning of a line that waits for its end. All bytes go through one buffer, however they are cut into pieces, so that
 * nothing can depend on the size of a piece.
 */
export class UnfinishedLine {
  /** Bytes of the line so far. */
  length = 0;
  /** What has not become text yet; the first `#held` of these bytes are in use. */
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #held = 0;
  /** What came before that, as text. */
  #texts: string[] = [];
  /** The bytes of the first text. */
  #head = this.#bytes;
  /** Keeps a character that is cut off at the end of a text. */
  #decoder = decoder;

  /** The line's first bytes: the first {@link CAPACITY} of a long line, all of a short one. */
  get head(): Uint8Array {
    return this.#texts.length > 0 ? this.#head : this.#bytes;
  }

  /** Called when the line has ended. The text of a long line; "" for a short one, all of which is in `head`. */
  finish(): string {
    if (this.#texts.length === 0) return "";
    return [...this.#texts, this.#decoder.decode(this.#bytes.subarray(0, this.#held))].join("");
  }

  append(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    this.length += count;
    const bytes = this.#bytes;
    const held = this.#held;
    if (count <= FEW_BYTES && held + count <= bytes.length) {
      for (let at = 0; at < count; at++) bytes[held + at] = source[start + at] as number;
      this.#held = held + count;
    } else this.#appendMany(source, start, end);
  }

  clear(): void {
    this.length = 0;
    this.#held = 0;
    if (this.#texts.length === 0) return;
    this.#texts = [];
    this.#bytes = new Uint8Array(FIRST_CAPACITY);
  }

  #appendMany(source: Uint8Array, start: number, end: number): void {
    for (let from = start; from < end;) {
      if (this.#held === CAPACITY) this.#becomeText();
      const to = Math.min(end, from + CAPACITY - this.#held);
      this.#makeRoom(this.#held + to - from);
      this.#bytes.set(source.subarray(from, to), this.#held);
      this.#held += to - from;
      from = to;
    }
  }

  #makeRoom(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.min(CAPACITY, Math.max(needed, this.#bytes.length * 2)));
    bytes.set(this.#bytes.subarray(0, this.#held));
    this.#bytes = bytes;
  }

  #becomeText(): void {
    const isFirst = this.#texts.length === 0;
    if (isFirst) this.#decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.#texts.push(this.#decoder.decode(this.#bytes, { stream: true }));
    if (isFirst) {
      this.#head = this.#bytes;
      this.#bytes = new Uint8Array(CAPACITY);
    }
    this.#held = 0;
  }
}

/**
 * The decoder is handed the bytes of whole lines or values, which never end inside a character: so every call is a one-shot
 * decode that leaves no state behind, and one decoder serves all streams. A byte order mark is the stream's business, not each
 * call's: `ignoreBOM` stops the decoder from eating a U+FEFF that is text.
 */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

type Utf8Slice = (this: Uint8Array, start: number, end: number) => string;

/** Bun, Node and Deno can read a part of an array without a view of it, which costs as much as reading a short value. */
const utf8Slice = (globalThis as { Buffer?: { prototype: { utf8Slice?: Utf8Slice } } }).Buffer?.prototype
  .utf8Slice;
/** From here on `TextDecoder` is the faster one. */
const LONG = 2048;

/** An unfinished line is held as bytes. Whenever there are this many of them, they become text. */
const CAPACITY = 64 * 1024;
const FIRST_CAPACITY = 256;
/** Up to here a loop costs less than the view that `set` needs. */
const FEW_BYTES = 16;
