import type { Attachable, Reader, Sink } from "./sink.ts";

/**
 * Answers with a stream in Node: attaches the opening to a response of `node:http` or `node:http2`, whose status and headers
 * are set. That is also Express's `res`, Fastify's `reply.raw` after `reply.hijack()`, and Koa's `ctx.res` with
 * `ctx.respond = false`. A HEAD request, or a client that has left, cancels the opening.
 *
 * A reader that is behind has the response keep one frame beyond its `writableHighWaterMark`.
 *
 * In Node, frames go over HTTP/1.1 to the socket, past what an `OutgoingMessage` does for each write: a frame becomes a chunk
 * (RFC 9112, 7.1) once for all streams. Where the head was sent before, or a middleware has put a `write` of its own in place,
 * the response is written to.
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
  /** HTTP/1: null while it waits for the response before it. */
  readonly socket?: NodeSocket | null;
  /** HTTP/1: the head has been made, and says that the body comes in chunks. */
  readonly chunkedEncoding?: boolean;
}

/** What is used of a `Socket`. */
export interface NodeSocket {
  /** False: it has ended, from whichever side. */
  readonly writable: boolean;
  /** What is written waits until {@link uncork}. */
  cork(): void;
  /** See {@link cork}. */
  uncork(): void;
  /** As that of a response. */
  write(bytes: Uint8Array): boolean;
  /** As every emitter's. */
  once(event: "drain", listener: () => void): unknown;
}

class ResponseSink implements Sink {
  /** Null once the stream has ended, from whichever side. */
  #response: NodeResponse | null;
  /** Not null: where frames go, past the response. */
  #socket: NodeSocket | null = null;
  #reader: Reader | null = null;
  /** Lets the stream go on that waits for the reader. */
  #goOn: (() => void) | null = null;

  constructor(response: NodeResponse) {
    this.#response = response;
    // Of the response and not of the request, whose "close" comes when its body was read.
    response.on("close", () => this.#closed());
    response.on("error", ignore); // "close" follows
  }

  attach(opening: Attachable): void {
    const response = this.#response!;
    const socket = socketOf(response);
    if (socket === null) {
      this.#attach(opening);
      // Where the first bytes are late, the client can know already that they will come.
      this.#response?.flushHeaders?.();
      return;
    }
    socket.cork(); // the head and the first frame are one packet
    try {
      sendHead(response, opening);
      // A middleware can have changed that when the head was made, or the client not know of chunks.
      if (isPlain(response) && response.chunkedEncoding === true) this.#socket = socket;
      this.#attach(opening);
    } finally {
      socket.uncork();
    }
  }

  #attach(opening: Attachable): void {
    if (this.#socket === null) this.#response!.on("drain", () => this.#drained());
    const reader = opening.attach(this);
    if (this.#response !== null) this.#reader = reader; // "close" never comes within a call
  }

  /** Node sends what is written in one turn together. */
  write(frame: Uint8Array): number | Promise<unknown> {
    const response = this.#response;
    if (response === null) return 0;
    const socket = this.#socket;
    if (isDestroyed(response) || socket?.writable === false) {
      this.#forget(); // "close" is yet to come, for nobody
      return 0;
    }
    if (socket === null ? response.write(frame) : socket.write(chunkOf(frame))) return frame.byteLength;
    return new Promise<void>((resolve) => {
      this.#goOn = resolve;
      socket?.once("drain", () => this.#drained()); // it can outlive the response
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
    // Otherwise the body would end as if it were complete.
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

/** Node's own, and neither Bun's nor Deno's imitation, whose sockets are none. */
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis) && "process" in globalThis;

/** The socket, if frames may be able to go to it, which the head shows. */
function socketOf(response: NodeResponse): NodeSocket | null {
  if (!isNode || response.stream !== undefined || response.headersSent) return null;
  const { socket } = response;
  return socket?.writable === true && isPlain(response) ? socket : null;
}

/** Whether nobody wants to see what is written. */
function isPlain(response: NodeResponse): boolean {
  return response.write === process.getBuiltinModule("node:http").ServerResponse.prototype.write;
}

/** What a middleware does when the head is written can throw. */
function sendHead(response: NodeResponse, opening: Attachable): void {
  try {
    response.flushHeaders!();
  } catch (error) {
    opening.cancel();
    throw error;
  }
}

/** The last frame, and the chunk that it is. */
let lastFrame: Uint8Array | null = null;
/** See {@link lastFrame}. */
let lastChunk: Uint8Array | null = null;

/** Made once for all streams that are sent the frame one after the other. */
function chunkOf(frame: Uint8Array): Uint8Array {
  if (frame !== lastFrame) {
    lastFrame = frame;
    lastChunk = Buffer.concat([Buffer.from(`${frame.byteLength.toString(16)}\r\n`), frame, LINE_END]);
  }
  return lastChunk!;
}

const LINE_END = new Uint8Array([13, 10]);

function isDestroyed({ destroyed, stream }: NodeResponse): boolean {
  return destroyed ?? stream?.destroyed ?? true;
}

/** RFC 9113, 7. */
const INTERNAL_ERROR = 2;

function ignore(): void {}
