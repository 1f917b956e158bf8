/** The status line and the header fields of a response; names are in lower case. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

export interface ResponseHandlers {
  head(head: ResponseHead): void;
  /** A piece of the body without its framing, from `start` up to `end`: a view of it would cost as much as all the rest. */
  body(bytes: Buffer, start: number, end: number): void;
  /** The response is complete; the next bytes are of the next one. */
  end(): void;
}

const MAX_HEAD_BYTES = 64 * 1024;
const HEAD_END = Buffer.from("\r\n\r\n");
const EMPTY = Buffer.alloc(0);
const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const SEMICOLON = 0x3b;

type State = "head" | "length" | "close" | "size" | "chunk" | "chunk end" | "trailer";

/**
 * Reads HTTP/1.x responses from the bytes of a connection, cut anywhere (RFC 9112): bodies that are chunked, of a known length,
 * or end with the connection. Bodies are handed on as they come and never collected.
 */
export class ResponseReader {
  readonly #handlers: ResponseHandlers;
  #state: State = "head";
  #head: Buffer = EMPTY;
  /** Of the body, or of the chunk. */
  #left = 0;
  /** Bytes in the trailer's line so far: an empty one is the end. */
  #line = 0;

  constructor(handlers: ResponseHandlers) {
    this.#handlers = handlers;
  }

  /** @throws Error when it is not HTTP */
  feed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) at = this.#step(bytes, at);
  }

  /** The connection has closed. Answers whether that was where a response may end. */
  close(): boolean {
    const complete = this.#state === "close" || (this.#state === "head" && this.#head.length === 0);
    if (this.#state === "close") this.#done();
    return complete;
  }

  /** Makes ready for a new connection. */
  reset(): void {
    this.#state = "head";
    this.#head = EMPTY;
  }

  /** Takes what it can from `at` on, and answers how far it came. */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(bytes, at);
      case "close":
        this.#handlers.body(bytes, at, bytes.length);
        return bytes.length;
      case "length":
      case "chunk":
        return this.#readBody(bytes, at);
      case "size":
        return this.#readSize(bytes, at);
      case "chunk end":
        if (bytes[at] === LF) this.#state = "size";
        return at + 1;
      default:
        return this.#readTrailer(bytes, at);
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const before = this.#head.length;
    const head = Buffer.concat([this.#head, bytes.subarray(at)]);
    const end = head.indexOf(HEAD_END);
    if (end === -1) {
      if (head.length > MAX_HEAD_BYTES) throw new Error("the response has no end of its header fields");
      this.#head = head;
      return bytes.length;
    }
    this.#head = EMPTY;
    this.#begin(parseHead(head.toString("latin1", 0, end)));
    return at + end + HEAD_END.length - before;
  }

  #begin(head: ResponseHead): void {
    if (head.status >= 100 && head.status < 200) return;
    const { headers, status } = head;
    const length = headers.get("content-length");
    const chunked = /(^|[ ,])chunked$/i.test(headers.get("transfer-encoding") ?? "");
    this.#left = chunked ? 0 : Number(length ?? 0);
    this.#line = 0;
    if (chunked) this.#state = "size";
    else if (status === 204 || status === 304 || length !== undefined) this.#state = "length";
    else this.#state = "close";
    this.#handlers.head(head);
    if (this.#state === "length" && this.#left === 0) this.#done();
  }

  #readBody(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    this.#handlers.body(bytes, at, end);
    if (this.#left > 0) return end;
    if (this.#state === "chunk") this.#state = "chunk end";
    else if (this.#state === "length") this.#done();
    return end;
  }

  /** The size of a chunk in hexadecimal, perhaps an extension, and a line end; `#line` is 0 until the digits are over. */
  #readSize(bytes: Buffer, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === LF) {
        this.#line = 0;
        this.#state = this.#left === 0 ? "trailer" : "chunk";
        return at + 1;
      }
      if (this.#line > 0) continue;
      const digit = hexadecimal(byte);
      if (digit !== -1) this.#left = this.#left * 16 + digit;
      else if (byte === CR || byte === SEMICOLON || byte === SPACE) this.#line = 1;
      else throw new Error("a chunk of the response has no size");
    }
    return bytes.length;
  }

  #readTrailer(bytes: Buffer, at: number): number {
    if (bytes[at] === LF) {
      if (this.#line === 0) this.#done();
      this.#line = 0;
    } else if (bytes[at] !== CR) {
      this.#line++;
    }
    return at + 1;
  }

  #done(): void {
    this.#state = "head";
    this.#handlers.end();
  }
}

function hexadecimal(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function parseHead(text: string): ResponseHead {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const status = /^HTTP\/1\.[01] ([0-9]{3})/.exec(statusLine)?.[1];
  if (status === undefined)
    throw new Error(`not an HTTP response: ${JSON.stringify(statusLine.slice(0, 80))}`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(status), headers };
}
