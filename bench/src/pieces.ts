/** What a publisher has written into a payload. */
export interface Payload {
  readonly channel: number;
  readonly number: number;
  readonly intended: number;
}

/** Bytes that a stream was given at a time, and the payloads in them. */
export interface Piece {
  readonly bytes: Buffer;
  readonly payloads: readonly Payload[];
  /** What a stream was given after it. */
  next: Piece | null;
}

/** So many pieces are remembered: streams that are further apart do not help each other. */
const KEPT = 64;
/** A longer piece holds so many events that to search it costs little beside reading it. */
const MAX_BYTES = 64 * 1024;

/**
 * Streams of one topic are given the same bytes. The first of them that reads a piece finds the payloads for all: the others compare
 * the piece with the one that came after the last they read, in a fraction of the time.
 */
export class Pieces {
  readonly #kept: (Piece | undefined)[] = Array.from({ length: KEPT });
  #count = 0;

  /** The piece with these bytes that another stream was given after `last`; null when there is none. */
  after(last: Piece | null, bytes: Buffer, start: number, end: number): Piece | null {
    const next = last?.next;
    if (next && isSame(next, bytes, start, end)) return next;
    const newest = this.#kept[(this.#count - 1) % KEPT];
    if (newest === undefined || newest === next || !isSame(newest, bytes, start, end)) return null;
    if (last !== null && last !== newest) last.next = newest;
    return newest;
  }

  /** Remembers what was found; answers null when it is too long for that. */
  add(
    last: Piece | null,
    bytes: Buffer,
    start: number,
    end: number,
    payloads: readonly Payload[],
  ): Piece | null {
    if (end - start > MAX_BYTES) return null;
    const piece: Piece = { bytes: Buffer.from(bytes.subarray(start, end)), payloads, next: null };
    if (last !== null) last.next = piece;
    const slot = this.#count++ % KEPT;
    // A stream that has stalled must not keep all that came after its last piece.
    const forgotten = this.#kept[slot];
    if (forgotten) forgotten.next = null;
    this.#kept[slot] = piece;
    return piece;
  }
}

function isSame(piece: Piece, bytes: Buffer, start: number, end: number): boolean {
  return piece.bytes.length === end - start && bytes.compare(piece.bytes, 0, end - start, start, end) === 0;
}
