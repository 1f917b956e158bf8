import { createDecoder, type DecoderOptions, type ServerSentEvent } from "./decode.ts";

/**
 * A `TransformStream` from the bytes of one `text/event-stream` to its events: `response.body.pipeThrough(new DecoderStream())`.
 * It takes the next chunk only when the events of the last one have been read.
 *
 * After an {@link EventTooLargeError}, or an error that a callback throws, both sides fail with that error. When the same chunk
 * completed events before the fault, they can still be read, and the streams fail with the next chunk or the end.
 *
 * @throws {TypeError} as `createDecoder` does.
 */
export class DecoderStream extends TransformStream<Uint8Array, ServerSentEvent> {
  constructor(options: StreamDecoderOptions = {}) {
    let emit: (event: ServerSentEvent) => void;
    const decoder = createDecoder({ ...options, onEvent: (event) => emit(event) });
    let failed: { error: unknown } | undefined;
    super({
      transform(chunk, controller) {
        if (failed !== undefined) throw failed.error;
        let events = 0;
        emit = (event) => {
          events++;
          controller.enqueue(event);
        };
        try {
          decoder.feed(chunk);
        } catch (error) {
          // A stream that fails drops what is queued in it, which would lose the events before the fault.
          if (events === 0) throw error;
          failed = { error };
        }
      },
      flush() {
        if (failed !== undefined) throw failed.error;
      },
    });
  }
}

/**
 * Yields the events of one `text/event-stream`. Ends when `source` ends; an unfinished event is dropped (WHATWG HTML 9.2.6). A
 * consumer that stops early (`break`, `return()`, an error) cancels a `ReadableStream`, or returns an iterable.
 *
 * @throws {EventTooLargeError} after the events before it; the source has been cancelled then. Also whatever the source or a
 *   callback throws, and a `TypeError` as `createDecoder` does.
 */
export async function* decodeEvents(
  source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
  options: StreamDecoderOptions = {},
): AsyncGenerator<ServerSentEvent, void, undefined> {
  let events: ServerSentEvent[] = [];
  const decoder = createDecoder({ ...options, onEvent: (event) => events.push(event) });
  for await (const chunk of chunksOf(source)) {
    let failed: { error: unknown } | undefined;
    try {
      decoder.feed(chunk);
    } catch (error) {
      failed = { error };
    }
    const completed = events;
    events = [];
    yield* completed;
    if (failed !== undefined) throw failed.error;
  }
}

/** What the streaming decoders are told: as for `createDecoder`, less the event callback. */
export type StreamDecoderOptions = Omit<DecoderOptions, "onEvent">;

/** Not every browser can iterate a `ReadableStream`, so it is read by hand. */
async function* chunksOf(
  source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (!("getReader" in source)) {
    yield* source;
    return;
  }
  const reader = source.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        ended = true;
        return;
      }
      yield value;
    }
  } finally {
    // Ended or failed by itself: there is nothing to cancel, and cancelling a failed stream would reject with its error again.
    if (!ended) await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}
