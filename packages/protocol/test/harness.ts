import { createDecoder } from "../src/index.ts";
import type { Outcome } from "./reference-decoder.ts";

/** Runs the decoder under test over chunks; `eventsAfterChunk` counts what was out after each of them. */
export function decodeChunks(
  chunks: readonly (Uint8Array | string)[],
  options: { lastEventId?: string | undefined; maxEventBytes?: number } = {},
): Outcome & { eventsAfterChunk: number[] } {
  const events: Outcome["events"] = [];
  const retries: number[] = [];
  const comments: string[] = [];
  const decoder = createDecoder({
    ...options,
    onEvent: (event) => events.push(event),
    onRetry: (milliseconds) => retries.push(milliseconds),
    onComment: (text) => comments.push(text),
  });
  const eventsAfterChunk = chunks.map((chunk) => {
    decoder.feed(chunk);
    return events.length;
  });
  return { events, retries, comments, lastEventId: decoder.lastEventId, eventsAfterChunk };
}

/** The same bytes whole, byte by byte, and at every single cut. */
export function* chunkings(bytes: Uint8Array): Generator<Uint8Array[]> {
  yield [bytes];
  yield byteByByte(bytes);
  for (let cut = 1; cut < bytes.length; cut++) yield [bytes.subarray(0, cut), bytes.subarray(cut)];
}

export function byteByByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

export function concatenated(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.length;
  }
  return bytes;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
