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

/** What is held as bytes; longer lines are turned into text as they arrive. */
const CAPACITY = 64 * 1024;
const FIRST_CAPACITY = 256;
/** A piece of this size becomes text where it is: copying it first would gain nothing. */
const LARGE_PIECE = 4 * 1024;
/** Up to here a loop costs less than the view that `set` needs. */
const FEW_BYTES = 16;
/** As much of a line's beginning as its name needs, and the colon and space after it. */
const HEAD = 8;

/** The beginning of a line that waits for its end. */
export class UnfinishedLine {
  /** Bytes of the line so far. */
  length = 0;
  /** What has not yet become text; of these, the first `#held` are in use. */
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #held = 0;
  /** What came before that, as text, and how the line began. */
  #texts: string[] = [];
  #head = this.#bytes;

  /** The line's first bytes, {@link HEAD} at least if there are so many. */
  get head(): Uint8Array {
    return this.#texts.length > 0 ? this.#head : this.#bytes;
  }

  /** The line's text when it is long; "" for a short one, which is left as bytes, in `head`. */
  get text(): string {
    if (this.#texts.length === 0) return "";
    return [...this.#texts, toText(this.#bytes, 0, this.#held)].join("");
  }

  append(source: Uint8Array, start: number, end: number): void {
    this.length += end - start;
    if (end - start >= LARGE_PIECE) this.#appendText(source, start, end);
    else this.#hold(source, start, end);
  }

  clear(): void {
    this.length = 0;
    this.#held = 0;
    if (this.#texts.length === 0) return;
    this.#texts = [];
    this.#bytes = new Uint8Array(FIRST_CAPACITY);
  }

  #hold(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (this.#held + count > this.#bytes.length) this.#makeRoom(count);
    const bytes = this.#bytes;
    const held = this.#held;
    if (count > FEW_BYTES) bytes.set(source.subarray(start, end), held);
    else for (let at = 0; at < count; at++) bytes[held + at] = source[start + at] as number;
    this.#held = held + count;
  }

  #makeRoom(count: number): void {
    if (this.#held + count > CAPACITY) {
      const cut = characterEnd(this.#bytes, 0, this.#held);
      this.#becomeText(this.#bytes, 0, cut);
      this.#bytes.copyWithin(0, cut, this.#held);
      this.#held -= cut;
    } else {
      const bytes = new Uint8Array(Math.max(this.#held + count, this.#bytes.length * 2));
      bytes.set(this.#bytes.subarray(0, this.#held));
      this.#bytes = bytes;
    }
  }

  #appendText(source: Uint8Array, start: number, end: number): void {
    let from = start;
    if (this.#held > 0) {
      // A character that the held bytes may have begun goes on for three more bytes at most.
      while (from < start + 3 && isContinuation(source[from] as number)) from++;
      this.#hold(source, start, from);
      this.#becomeText(this.#bytes, 0, this.#held);
      this.#held = 0;
    }
    const cut = characterEnd(source, from, end);
    this.#becomeText(source, from, cut);
    this.#hold(source, cut, end);
  }

  #becomeText(bytes: Uint8Array, start: number, end: number): void {
    if (this.#texts.length === 0) this.#head = bytes.slice(start, start + HEAD);
    this.#texts.push(toText(bytes, start, end));
  }
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/**
 * Where the bytes can be cut so that both parts decode as the whole would: not behind the first bytes of a character that may
 * go on. Whatever is malformed ends before the next byte that is no continuation, or after four bytes.
 */
function characterEnd(bytes: Uint8Array, start: number, end: number): number {
  for (let place = end - 1; place >= start && place >= end - 3; place--) {
    const byte = bytes[place] as number;
    if (!isContinuation(byte)) return byte < 0x80 ? end : place;
  }
  return end;
}
