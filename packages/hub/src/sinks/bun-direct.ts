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
  #unopened: (() => void) | null;
  #controller: ReadableStreamDirectController | null = null;
  #reader: Reader | null = null;
  #drop: (() => void) | null = null;

  constructor(open: Open, unopened: () => void) {
    this.#open = open;
    this.#unopened = unopened;
  }

  /**
   * Guarded, because a reader of the stream (a test, a proxying framework) calls it once for each read.
   *
   * @returns a promise that never resolves, which would end the stream. {@link abort} rejects it
   */
  pull(controller: ReadableStreamDirectController): Promise<void> | undefined {
    const open = this.#open;
    if (open === null) return undefined;
    this.#open = this.#unopened = null;
    this.#controller = controller;
    const { promise, reject } = Promise.withResolvers<void>();
    this.#drop = reject;
    this.#reader = open(this);
    return promise;
  }

  /** Bun's only word that the client has gone. It does not come for a stream that we close. */
  cancel(): void {
    this.#unopened?.();
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

  /** With no reason: in development Bun prints any, with its stack, as that of `controller.close(error)`. */
  abort(): void {
    const drop = this.#drop;
    this.#forget();
    drop?.();
  }

  #forget(): void {
    this.#open = this.#unopened = this.#controller = this.#reader = this.#drop = null;
  }
}

/**
 * A body for a `Response` in Bun. Nothing is opened before Bun asks for the first bytes: for a HEAD request it never does.
 *
 * @param open opens the stream on the sink, writes its first bytes at once, and answers whom to tell when the client
 *   has gone
 * @param unopened called in its place when nobody will ask: for a HEAD request, or when the client has gone before
 */
export function directStream(open: Open, unopened: () => void = () => {}): ReadableStream<Uint8Array> {
  return new ReadableStream(new DirectSink(open, unopened));
}
