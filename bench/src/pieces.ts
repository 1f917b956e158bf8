/** What a publisher has written into a payload. */
export interface Payload {
  readonly channel: number;
  readonly number: number;
  readonly intended: number;
}

interface Piece {
  readonly bytes: Buffer;
  readonly payloads: readonly Payload[];
}

/** So many pieces are remembered: streams that are further apart do not help each other. */
const SLOTS = 512;
/** What comes first in a piece tells it from most others: an id, or the numbers of a payload. */
const PREFIX = 64;
/** A longer piece holds so many events that to search it costs little beside reading it. */
const MAX_BYTES = 64 * 1024;

/**
 * Streams of one topic are given the same bytes. The first of them that reads a piece finds the payloads for all: the others compare
 * bytes with it, in a fraction of the time.
 */
export class Pieces {
  readonly #slots: (Piece | undefined)[] = Array.from({ length: SLOTS });

  /** What was found in the same bytes before, or null. */
  find(bytes: Buffer, start: number, end: number): readonly Payload[] | null {
    const piece = this.#slots[slotOf(bytes, start, end)];
    if (piece === undefined || piece.bytes.length !== end - start) return null;
    return bytes.compare(piece.bytes, 0, end - start, start, end) === 0 ? piece.payloads : null;
  }

  add(bytes: Buffer, start: number, end: number, payloads: readonly Payload[]): void {
    if (end - start > MAX_BYTES) return;
    this.#slots[slotOf(bytes, start, end)] = { bytes: Buffer.from(bytes.subarray(start, end)), payloads };
  }
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  let hash = end - start;
  const stop = Math.min(end, start + PREFIX);
  for (let at = start; at < stop; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
  return (hash ^ (hash >>> 16)) & (SLOTS - 1);
}
