import type { Attachable, Reader, Sink } from "./sink.ts";

/**
 * Answers with a stream in Node: attaches the opening to a response of `node:http` or `node:http2`, whose status and headers
 * are set. That is also Express's `res`, Fastify's `reply.raw` after `reply.hijack()`, and Koa's `ctx.res` with
 * `ctx.respond = false`. A HEAD request, or a client that has left, cancels the opening.
 *
 * A reader that is behind has the response keep one frame beyond its `writableHighWaterMark`.
 */
export function attachResponse(opening: Attachable, response: NodeResponse): void {
  if (isDestroyed(response) || response.writableEnded) opening.cancel();
  else if (response.req.method === "HEAD") {
    opening.cancel();
    response.end();
  } else new ResponseSink(response).attach(opening);
}

/** What is used of a `ServerResponse` and a `Http2ServerResponse`: Node's documentation says what each does. */
export interface NodeResponse {
  /** The request that it answers. */
  readonly req: { readonly method?: string | undefined };
  /** HTTP/1 only: HTTP/2 tells by its `stream`. */
  readonly destroyed?: boolean;
  /** HTTP/2 only. */
  readonly stream?: { readonly destroyed: boolean; close(code: number): void };
  /** `end` was called. */
  readonly writableEnded: boolean;
  /** The status and the headers have gone. */
  readonly headersSent: boolean;
  /** False: it keeps more than its high water mark, until "drain". */
  write(bytes: Uint8Array): boolean;
  /** Ends the body. */
  end(): unknown;
  /** Cuts the connection. */
  destroy(): unknown;
  /** Of both; the types of HTTP/2 leave it out. */
  flushHeaders?(): void;
  /** As every emitter's. */
  on(event: "close" | "drain" | "error", listener: () => void): unknown;
}

class ResponseSink implements Sink {
  /** Null once the stream has ended, from whichever side. */
  #response: NodeResponse | null;
  #reader: Reader | null = null;
  /** Lets the stream go on that waits for the reader. */
  #goOn: (() => void) | null = null;

  constructor(response: NodeResponse) {
    this.#response = response;
    // Of the response and not of the request, whose "close" comes when its body was read.
    response.on("close", () => this.#closed());
    response.on("drain", () => this.#drained());
    response.on("error", ignore); // "close" follows
  }

  attach(opening: Attachable): void {
    const reader = opening.attach(this);
    const response = this.#response;
    if (response === null) return;
    this.#reader = reader; // "close" never comes within a call
    // Where the first bytes are late, the client can know already that they will come.
    if (!response.headersSent) response.flushHeaders?.();
  }

  /** Node sends what is written in one turn together. */
  write(frame: Uint8Array): number | Promise<unknown> {
    const response = this.#response;
    if (response === null) return 0;
    if (isDestroyed(response)) {
      this.#forget(); // "close" is yet to come, for nobody
      return 0;
    }
    if (response.write(frame)) return frame.byteLength;
    return new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
  }

  close(): void {
    const response = this.#response;
    this.#forget();
    if (response !== null && !isDestroyed(response)) response.end();
  }

  abort(): void {
    const response = this.#response;
    this.#forget();
    // HTTP/2 would otherwise end the body as if it were complete.
    if (response?.stream !== undefined) response.stream.close(INTERNAL_ERROR);
    else response?.destroy();
  }

  #closed(): void {
    if (this.#response === null) return;
    const reader = this.#reader;
    this.#forget();
    reader?.gone();
  }

  #drained(): void {
    const goOn = this.#goOn;
    this.#goOn = null;
    goOn?.();
  }

  #forget(): void {
    this.#response = this.#reader = null;
    this.#drained();
  }
}

function isDestroyed({ destroyed, stream }: NodeResponse): boolean {
  return destroyed ?? stream?.destroyed ?? true;
}

/** RFC 9113, 7. */
const INTERNAL_ERROR = 2;

function ignore(): void {}
