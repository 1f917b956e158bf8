import {
  ACK,
  DATA,
  END_STREAM,
  frame,
  HEAD_BYTES,
  HEADERS,
  PING,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from "../http2-client.ts";
import type { Answer, Wire } from "./wire.ts";

/** What a stream may still be sent, and what came back on it. */
interface Stream {
  window: number;
  answer: Answer | undefined;
  isReset: boolean;
}

const INITIAL_WINDOW = 65_535;
const INITIAL_WINDOW_SIZE = 4;
/** Of the static table (RFC 7541, appendix A), from its eighth field on. */
const STATUSES = [200, 204, 206, 304, 400, 404, 500];
const FIRST_STATUS = 8;

/** Reads the answers of a connection, keeps its windows, and acknowledges what has to be. */
export class Http2Answers {
  readonly #streams = new Map<number, Stream>();
  #window = INITIAL_WINDOW;
  #initialWindow = INITIAL_WINDOW;
  #rest: Buffer = Buffer.alloc(0);

  of(stream: number): Answer | undefined {
    return this.#at(stream).answer;
  }

  /** Its status is here, and all of its body, unless that never ends; or it was reset. */
  isAnswered(stream: number): boolean {
    const { answer, isReset } = this.#at(stream);
    return isReset || answer?.isWhole === true || answer?.body.includes("sse:") === true;
  }

  /** Whatever else it is sent comes too late. */
  isOver(stream: number): boolean {
    const { answer, isReset } = this.#at(stream);
    return isReset || answer?.isWhole === true;
  }

  room(stream: number): number {
    return Math.min(this.#window, this.#at(stream).window);
  }

  use(stream: number, bytes: number): void {
    this.#window -= bytes;
    this.#at(stream).window -= bytes;
  }

  feed(bytes: Buffer, wire: Wire): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + rest.readUIntBE(0, 3);
      if (rest.length < end) break;
      this.#take(rest[3]!, rest[4]!, rest.readUInt32BE(5), rest.subarray(HEAD_BYTES, end), wire);
      rest = rest.subarray(end);
    }
    this.#rest = rest;
  }

  #take(type: number, flags: number, id: number, payload: Buffer, wire: Wire): void {
    const isAck = (flags & ACK) !== 0;
    if (type === PING && !isAck) wire.write(frame(PING, ACK, 0, payload));
    if (type === SETTINGS && !isAck) {
      for (let at = 0; at < payload.length; at += 6)
        if (payload.readUInt16BE(at) === INITIAL_WINDOW_SIZE)
          this.#setInitialWindow(payload.readUInt32BE(at + 2));
      wire.write(frame(SETTINGS, ACK, 0));
    }
    if (type === WINDOW_UPDATE && id === 0) this.#window += payload.readUInt32BE(0);
    if (id === 0) return;
    const stream = this.#at(id);
    if (type === WINDOW_UPDATE) stream.window += payload.readUInt32BE(0);
    if (type === RST_STREAM) stream.isReset = true;
    if (type === HEADERS)
      stream.answer ??= { status: statusOf(payload), headers: null, body: "", isWhole: false };
    if (type === DATA && stream.answer !== undefined) stream.answer.body += payload.toString("latin1");
    if ((type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0 && stream.answer !== undefined)
      stream.answer.isWhole = true;
  }

  #setInitialWindow(size: number): void {
    for (const stream of this.#streams.values()) stream.window += size - this.#initialWindow;
    this.#initialWindow = size;
  }

  #at(id: number): Stream {
    let stream = this.#streams.get(id);
    if (stream === undefined)
      this.#streams.set(id, (stream = { window: this.#initialWindow, answer: undefined, isReset: false }));
    return stream;
  }
}

/** `:status` comes first, from the static table, or as a literal of three digits, plain or in Huffman's code. */
export function statusOf(fields: Buffer): number {
  let at = 0;
  while ((fields[at]! & 0xe0) === 0x20) at++; // how large the table may be, which is none
  const first = fields[at]!;
  if ((first & 0x80) !== 0) return STATUSES[(first & 0x7f) - FIRST_STATUS] ?? 0;
  const [length, ...bytes] = fields.subarray(at + 1);
  const value = Buffer.from(bytes.slice(0, length! & 0x7f));
  return Number((length! & 0x80) === 0 ? value.toString("latin1") : digitsOf(value)) || 0;
}

/** Of Huffman's code (RFC 7541, appendix B), digits alone: 0 to 2 have five bits, the others six, from 0x19 on. */
function digitsOf(bytes: Buffer): string {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let digits = "";
  while (bits.length >= 5) {
    const five = Number.parseInt(bits.slice(0, 5), 2);
    const six = Number.parseInt(bits.slice(0, 6), 2);
    if (five <= 2) digits += five;
    else if (bits.length >= 6 && six >= 0x19 && six <= 0x1f) digits += six - 0x16;
    else break;
    bits = bits.slice(five <= 2 ? 5 : 6);
  }
  return digits;
}
