import type { Attachable, Reader, Sink } from "./sink.ts";

/**
 * A body for a `Response` wherever there are web streams: Deno, Node's frameworks (Hono, Next, SvelteKit, Nitro), workers. In Bun
 * {@link directStream} costs less. Attaches the opening when the body is first read, and cancels it when it never is.
 *
 * A reader that is behind has the stream keep 64 KiB, and one frame beyond that.
 *
 * @param options.signal the request's: some servers tell by it alone that the client has left, and leave the body as it is
 */
export function webStream(
  opening: Attachable,
  { signal }: { signal?: AbortSignal | undefined } = {},
): ReadableStream<Uint8Array> {
  return new ReadableStream(new WebSink(opening, signal), ON_DEMAND);
}

/** The underlying source itself. Not one of bytes: that takes the memory of a frame, which other streams are sent too. */
class WebSink implements Sink {
  /** Null once the body is read, or never will be. */
  #opening: Attachable | null;
  readonly #signal: AbortSignal | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #reader: Reader | null = null;
  #isGone = false;
  /** Bytes written since the reader last waited for some. */
  #unread = 0;
  /** Lets the stream go on that waits for the reader. */
  #goOn: (() => void) | null = null;

  constructor(opening: Attachable, signal: AbortSignal | undefined) {
    this.#opening = opening;
    this.#signal = signal;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    if (this.#signal?.aborted === true) this.#leave();
    else this.#signal?.addEventListener("abort", this);
  }

  /** The reader waits: it has had all that was written. */
  pull(): void {
    this.#unread = 0;
    this.#drained();
    const opening = this.#opening;
    if (opening === null) return;
    this.#opening = null;
    const reader = opening.attach(this);
    if (this.#isGone) reader.gone();
    else if (this.#controller !== null) this.#reader = reader;
  }

  cancel(): void {
    this.#leave();
  }

  /** The signal's listener. */
  handleEvent(): void {
    this.#leave();
  }

  #leave(): void {
    const { controller, opening, reader } = this.#forget();
    if (controller === null) return;
    this.#isGone = true;
    opening?.cancel();
    reader?.gone();
    try {
      controller.close();
    } catch {
      // It was the reader who closed it.
    }
  }

  write(frame: Uint8Array): number | Promise<unknown> {
    if (this.#controller === null) return 0;
    this.#controller.enqueue(frame);
    const isBehind = this.#unread > 0 && this.#unread + frame.byteLength > MAX_UNREAD;
    this.#unread += frame.byteLength;
    if (!isBehind) return frame.byteLength;
    return new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
  }

  close(): void {
    this.#forget().controller?.close();
  }

  abort(): void {
    this.#forget().controller?.error(new Error("the stream was aborted"));
  }

  #drained(): void {
    const goOn = this.#goOn;
    this.#goOn = null;
    goOn?.();
  }

  /** What there was, once. */
  #forget() {
    const controller = this.#controller;
    const opening = this.#opening;
    const reader = this.#reader;
    this.#controller = this.#opening = this.#reader = null;
    this.#signal?.removeEventListener("abort", this); // it may be the signal of more than this stream
    this.#drained();
    return { controller, opening, reader };
  }
}

/** A stream that is read ahead would be attached for a HEAD request too. So nothing is, and what waits is counted here. */
const ON_DEMAND: QueuingStrategy<Uint8Array> = { highWaterMark: 0, size: () => 0 };

/** Bytes that may wait for the reader before it counts as behind: a frame, as large as it gets. */
const MAX_UNREAD = 64 * 1024;
