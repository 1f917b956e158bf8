import type { Sink } from "./sink.ts";

/** Who has to know that the client has gone: a `Stream`. */
interface Reader {
  gone(): void;
}

type Open = (sink: Sink) => Reader;

/**
 * A sink for one of Bun's direct streams (`new ReadableStream({ type: "direct" })`), as the underlying source itself:
 * `new Response(directStream(open))`.
 */
class DirectSink implements Sink {
  readonly type = "direct";
  #open: Open | null;
  #controller: ReadableStreamDirectController | null = null;
  #reader: Reader | null = null;

  constructor(open: Open) {
    this.#open = open;
  }

  /**
   * Synchronous, because a returned promise ends the stream when it settles; guarded, because a reader of the stream
   * (a test, a proxying framework) calls it once for each read.
   */
  pull(controller: ReadableStreamDirectController): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    this.#controller = controller;
    this.#reader = open(this);
  }

  /** Bun's only word that the client has gone. It does not come for a stream that we close. */
  cancel(): void {
    this.#controller = null;
    this.#reader?.gone();
    this.#reader = null;
  }

  /** Not flushed: Bun sends what was written at the end of the turn, for less than a call of `flush` costs. */
  write(frame: Uint8Array<ArrayBuffer>): number | Promise<unknown> {
    return this.#controller === null ? 0 : this.#controller.write(frame);
  }

  close(): void {
    const controller = this.#controller;
    this.#controller = null;
    this.#reader = null;
    controller?.close();
  }

  abort(): void {
    const controller = this.#controller;
    this.#controller = null;
    this.#reader = null;
    controller?.close(new Error("the stream was aborted"));
  }
}

/**
 * A body for a `Response` in Bun. Nothing is opened before Bun asks for the first bytes: for a HEAD request it never does.
 *
 * @param open opens the stream on the sink, writes its first bytes at once, and answers whom to tell when the client
 *   has gone
 */
export function directStream(open: Open): ReadableStream<Uint8Array> {
  return new ReadableStream(new DirectSink(open));
}
