import type { Attachable, Reader, Sink } from "./sink.ts";

/**
 * A body for a `Response` in Bun: attaches the opening when Bun asks for the first bytes, and cancels it when it never does, as
 * for a HEAD request, or when the client has gone before.
 *
 * @param isDevelopment whether the server is in development (`Server.development`), where a stream costs some bytes more;
 *   default true
 */
export function directStream(opening: Attachable, isDevelopment = true): ReadableStream<Uint8Array> {
  return new ReadableStream(new DirectSink(opening, isDevelopment));
}

/** A sink for one of Bun's direct streams (`new ReadableStream({ type: "direct" })`), as the underlying source itself. */
class DirectSink implements Sink {
  readonly type = "direct";
  readonly #isDevelopment: boolean;
  /** Null once Bun has asked for the first bytes, or never will. */
  #opening: Attachable | null;
  #controller: ReadableStreamDirectController | null = null;
  #reader: Reader | null = null;
  #drop: (() => void) | null = null;
  /** The client has left; it may do so while it is being attached. */
  #isGone = false;

  constructor(opening: Attachable, isDevelopment: boolean) {
    this.#opening = opening;
    this.#isDevelopment = isDevelopment;
  }

  /**
   * Guarded, because a reader of the stream (a test, a proxying framework) calls it once for each read.
   *
   * @returns nothing; for a server in development a promise that never resolves, which would end the stream: {@link abort}
   *   rejects it
   */
  pull(controller: ReadableStreamDirectController): Promise<void> | undefined {
    const opening = this.#opening;
    if (opening === null) return undefined;
    this.#opening = null;
    this.#controller = controller;
    let promise: Promise<void> | undefined;
    if (this.#isDevelopment) promise = new Promise((_, reject) => (this.#drop = reject));
    const reader = opening.attach(this);
    if (this.#isGone) reader.gone();
    else if (this.#controller !== null) this.#reader = reader;
    return promise;
  }

  /** Bun's only word that the client has gone. It does not come for a stream that we close. */
  cancel(): void {
    this.#isGone = true;
    this.#opening?.cancel();
    this.#reader?.gone();
    this.#forget();
  }

  /** Not flushed: Bun sends what was written at the end of the turn, for less than a call of `flush` costs. */
  write(frame: Uint8Array<ArrayBuffer>): number | Promise<unknown> {
    return this.#controller === null ? 0 : this.#controller.write(frame);
  }

  close(): void {
    const controller = this.#controller;
    this.#forget();
    controller?.close();
  }

  /** In development Bun prints the reason of `controller.close`, with its stack; not that of a rejected `pull`, which has none. */
  abort(): void {
    const controller = this.#controller;
    const drop = this.#drop;
    this.#forget();
    if (drop !== null) drop();
    else controller?.close(new Error("the stream was aborted"));
  }

  #forget(): void {
    this.#opening = this.#controller = this.#reader = this.#drop = null;
  }
}
