import { ByteBuffer, toText } from "./bytes.ts";

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** What a line has to begin with to be of use, as far as it has arrived. Compared byte by byte. */
const FIELDS = ["data:", "event:", "id:", "retry:"];
const LONGEST_FIELD = 6;

/**
 * Cuts a byte stream into whole lines (WHATWG HTML 9.2.5 and 9.2.6): takes chunks as they come and returns the text of the lines
 * that are complete, many at once. What is left over, at most one unfinished line, is kept as bytes.
 */
export class LineBuffer {
  /** The unfinished line. Empty while {@link LineBuffer.#skipping}. */
  readonly #unfinished = new ByteBuffer();
  readonly #keepComments: boolean;
  /** The unfinished line is a comment nobody listens to or an unknown field: its bytes are dropped as they arrive. */
  #skipping = false;
  /** How many bytes of a byte order mark the stream began with; 3 as soon as the question is settled. */
  #markBytes = 0;
  /** The last byte was a CR, which has ended its line already. A LF that comes next belongs to it. */
  #afterCr = false;
  #textBytes = 0;
  #carriedBytes = 0;

  constructor(keepComments: boolean) {
    this.#keepComments = keepComments;
  }

  /** Bytes held of the unfinished line. */
  get length(): number {
    return this.#unfinished.length;
  }

  /** Bytes that the text returned last was made of. Equal to the length of the text if and only if no character took several. */
  get textBytes(): number {
    return this.#textBytes;
  }

  /** How many of these bytes came before the chunk: no line ends among them. */
  get carriedBytes(): number {
    return this.#carriedBytes;
  }

  /** The lines that `chunk` completes, each with its line end; "" when there is none. The chunk may be reused afterwards. */
  push(chunk: Uint8Array): string {
    let start = this.#markBytes < 3 ? this.#skipMark(chunk) : 0;
    if (start === chunk.length) return "";
    if (this.#afterCr) {
      this.#afterCr = false;
      if (chunk[start] === LF) start++;
    }
    const end = afterLastLineEnd(chunk, start);
    if (end === start) {
      this.#hold(chunk, start);
      return "";
    }
    this.#afterCr = end === chunk.length && chunk[end - 1] === CR;
    if (this.#skipping || (chunk[start] === COLON && !this.#keepComments && this.#unfinished.length === 0)) {
      this.#skipping = false;
      start = afterFirstLineEnd(chunk, start);
    }
    let text = "";
    this.#carriedBytes = this.#unfinished.length;
    if (this.#carriedBytes > 0) {
      this.#unfinished.append(chunk, start, end);
      this.#textBytes = this.#unfinished.length;
      text = this.#unfinished.take();
    } else if (end - start === 1) {
      // A line end alone, as after a heartbeat or behind a line that came byte by byte: not worth a call of the decoder.
      this.#textBytes = 1;
      text = "\n";
    } else if (start < end) {
      this.#textBytes = end - start;
      text = toText(end - start === chunk.length ? chunk : chunk.subarray(start, end));
    }
    this.#hold(chunk, end);
    return text;
  }

  /** A new stream: nothing held, and a byte order mark may come again. */
  clear(): void {
    this.#unfinished.clear();
    this.#skipping = false;
    this.#markBytes = 0;
    this.#afterCr = false;
  }

  /** One leading byte order mark is dropped, wherever the chunks cut it. A second one is text. */
  #skipMark(chunk: Uint8Array): number {
    let start = 0;
    while (start < chunk.length && this.#markBytes < 3) {
      if (chunk[start] !== BYTE_ORDER_MARK[this.#markBytes]) {
        // The bytes taken so far were no mark. They need not come back: no field begins with them.
        this.#skipping = this.#markBytes > 0;
        this.#markBytes = 3;
        break;
      }
      start++;
      this.#markBytes++;
    }
    return start;
  }

  #hold(chunk: Uint8Array, start: number): void {
    if (start === chunk.length || this.#skipping) return;
    if (this.#unfinished.length < LONGEST_FIELD && !this.#isOfUse(chunk, start)) {
      this.#skipping = true;
      this.#unfinished.clear();
      return;
    }
    this.#unfinished.append(chunk, start, chunk.length);
  }

  /** Whether the unfinished line, continued by `chunk`, can still become a field or a comment that somebody wants. */
  #isOfUse(chunk: Uint8Array, start: number): boolean {
    const held = this.#unfinished.length;
    const length = Math.min(held + chunk.length - start, LONGEST_FIELD);
    const at = (index: number) => this.#unfinished.at(index) ?? chunk[start + index - held];
    if (at(0) === COLON) return this.#keepComments;
    return FIELDS.some((field) => {
      for (let index = 0; index < length && index < field.length; index++) {
        if (at(index) !== field.charCodeAt(index)) return false;
      }
      return true;
    });
  }
}

/** The position after the first line end at or behind `start`, a CRLF taken as one. There must be one. */
function afterFirstLineEnd(bytes: Uint8Array, start: number): number {
  let position = start;
  while (bytes[position] !== LF && bytes[position] !== CR) position++;
  return bytes[position] === CR && bytes[position + 1] === LF ? position + 2 : position + 1;
}

/** The position after the last line end, or `start` when there is none behind it. */
function afterLastLineEnd(bytes: Uint8Array, start: number): number {
  // Most chunks end with a line; the search with a call pays off when there is far to go.
  const near = Math.max(start, bytes.length - 32);
  for (let position = bytes.length; position > near; position--) {
    const byte = bytes[position - 1];
    if (byte === LF || byte === CR) return position;
  }
  if (near === start) return start;
  return Math.max(start, bytes.lastIndexOf(LF) + 1, bytes.lastIndexOf(CR) + 1);
}
