import type { Payload, Pieces } from "./pieces.ts";
import { CHANNEL_END, HEADER_BYTES, LENGTH_END, MARK_BYTES, NUMBER_END, TILDE, TIME_END } from "./payload.ts";

/** Told of each payload that is found. */
export interface Found {
  record(channel: number, number: number, intended: number): void;
  /** A mark was there, but not what has to follow it. */
  corrupt(): void;
}

/** A mark that is this near is found by a loop in less time than the call of `indexOf` takes. */
const NEAR = 128;

/**
 * Finds payloads in the bytes of one stream, cut anywhere, without decoding the events: a generator that did so would be the
 * bottleneck of every measurement. Nor does it make views, or keep what cannot be the start of a payload: with one event in a
 * piece, that alone was half of the time.
 */
export class Scanner {
  readonly #mark: Buffer;
  readonly #found: Found;
  readonly #pieces: Pieces;
  /** The end of the last piece, when a payload may have begun in it: less than {@link HEADER_BYTES}. */
  #tail: Buffer | null = null;

  /**
   * @param mark the bytes of the run's mark, shared by its scanners
   * @param pieces what was found by the streams that are given the same
   */
  constructor(mark: Buffer, found: Found, pieces: Pieces) {
    this.#mark = mark;
    this.#found = found;
    this.#pieces = pieces;
  }

  /** Scans `bytes` from `start` up to `end`. */
  scan(bytes: Buffer, start: number, end: number): void {
    const tail = this.#tail;
    if (tail !== null) return void this.#search(bytes, this.#join(tail, bytes, start, end), end);
    const known = this.#pieces.find(bytes, start, end);
    if (known === null) {
      const payloads = this.#search(bytes, start, end);
      if (payloads !== null) this.#pieces.add(bytes, start, end, payloads);
    } else {
      for (const { channel, number, intended } of known) this.#found.record(channel, number, intended);
    }
  }

  /** Forgets a payload that was cut off, before a new connection. */
  reset(): void {
    this.#tail = null;
  }

  /** Answers what it found; null when that is not all: a payload is cut off, or is not one. */
  #search(bytes: Buffer, start: number, end: number): Payload[] | null {
    const payloads: Payload[] = [];
    let isWhole = true;
    for (let from = start; from < end;) {
      const at = this.#find(bytes, from, end);
      if (at === -1) break;
      if (at + HEADER_BYTES > end) {
        this.#tail = Buffer.from(bytes.subarray(at, end));
        return null;
      }
      const payload = readHeader(bytes, at);
      if (payload === null) isWhole = false;
      else payloads.push(payload);
      from = at + this.#take(payload);
    }
    return isWhole ? payloads : null;
  }

  /** Completes a payload that began in the last piece, and answers where to go on in this one. */
  #join(tail: Buffer, bytes: Buffer, start: number, end: number): number {
    this.#tail = null;
    const taken = Math.min(end, start + HEADER_BYTES - 1);
    const joined = Buffer.concat([tail, bytes.subarray(start, taken)]);
    for (let at = this.#find(joined, 0, joined.length); at !== -1 && at < tail.length;) {
      if (at + HEADER_BYTES <= joined.length) {
        return start + at + this.#take(readHeader(joined, at)) - tail.length;
      }
      if (taken === end) {
        this.#tail = Buffer.from(joined.subarray(at));
        return end;
      }
      at = this.#find(joined, at + 1, joined.length);
    }
    return start;
  }

  /** The first mark, or the first part of one at the end; -1 for none. */
  #find(bytes: Buffer, from: number, end: number): number {
    const near = Math.min(end, from + NEAR);
    for (let at = from; at < near; at++) if (bytes[at] === TILDE && this.#isMark(bytes, at, end)) return at;
    if (near === end) return -1;
    const found = bytes.indexOf(this.#mark, near);
    if (found !== -1 && found + MARK_BYTES <= end) return found;
    for (let at = Math.max(near, end - MARK_BYTES + 1); at < end; at++)
      if (this.#isMark(bytes, at, end)) return at;
    return -1;
  }

  /** Whether there is a mark, or as much of one as there is room for. */
  #isMark(bytes: Buffer, at: number, end: number): boolean {
    const length = Math.min(MARK_BYTES, end - at);
    for (let index = 0; index < length; index++) if (bytes[at + index] !== this.#mark[index]) return false;
    return length > 0;
  }

  /** Tells of a payload, and answers how long it is: what is in it does not have to be looked at. */
  #take(payload: Header | null): number {
    if (payload === null) {
      this.#found.corrupt();
      return MARK_BYTES;
    }
    this.#found.record(payload.channel, payload.number, payload.intended);
    return payload.length;
  }
}

interface Header extends Payload {
  readonly length: number;
}

/** What the payload at `at` says of itself, or null when it is none. */
function readHeader(bytes: Buffer, at: number): Header | null {
  const channel = digits(bytes, at + MARK_BYTES, at + CHANNEL_END);
  const number = digits(bytes, at + CHANNEL_END, at + NUMBER_END);
  const intended = digits(bytes, at + NUMBER_END, at + TIME_END);
  const length = digits(bytes, at + TIME_END, at + LENGTH_END);
  const isWhole = channel !== -1 && number !== -1 && intended !== -1 && length !== -1;
  if (!isWhole || bytes[at + LENGTH_END] !== TILDE) return null;
  return { channel, number, intended, length: Math.max(HEADER_BYTES, length) };
}

/** The number that the digits write, or -1 when they are not all digits. */
function digits(bytes: Buffer, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
