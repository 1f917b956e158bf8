import type { Attachable, Reader, Sink } from "./sink.ts";

/**
 * Answers with a stream in Node: attaches the opening to a response of `node:http` or `node:http2`, whose status and headers
 * are set. That is also Express's `res`, Fastify's `reply.raw` after `reply.hijack()`, and Koa's `ctx.res` with
 * `ctx.respond = false`. A HEAD request, or a client that has left, cancels the opening.
 *
 * A reader that is behind has the response keep one frame beyond its `writableHighWaterMark`.
 *
 * In Node, the body of an HTTP/1.1 response over TCP whose head has not been sent is not in chunks: the end of the connection ends
 * it (RFC 9112, 6.3), and frames go to the socket as they are, past what an `OutgoingMessage` does for each write. Where a
 * middleware has put a `write` of its own in place, that is called.
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
  /** Of both; the types of HTTP/2 have more of them. */
  hasHeader?(name: string): boolean;
  /** See {@link hasHeader}. */
  setHeader?(name: string, value: string): unknown;
  /** See {@link hasHeader}. */
  removeHeader?(name: string): void;
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
  /** As that of a response. */
  on(event: "drain", listener: () => void): unknown;
  /** How many bytes wait to be sent. */
  readonly writableLength: number;
  /** Resets the connection, and drops what waits to be sent. Throws where a connection cannot be reset. */
  resetAndDestroy(): unknown;
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
      if (isBare(response)) this.#socket = socket; // a middleware can have changed that when the head was written
      this.#attach(opening);
    } finally {
      socket.uncork();
    }
  }

  #attach(opening: Attachable): void {
    (this.#socket ?? this.#response!).on("drain", () => this.#drained());
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
    if (socket === null ? response.write(frame) : socket.write(bufferOf(frame))) return frame.byteLength;
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
    // Otherwise the body would end as if it were complete.
    if (response?.stream !== undefined) response.stream.close(INTERNAL_ERROR);
    else if (response !== null) {
      const socket = this.#socket;
      // So the end of the connection does not end the body (RFC 9112, 8). While its end is being sent, libuv refuses to
      // reset a socket, and Node never closes one that was refused that.
      if (socket !== null && (socket.writable || socket.writableLength > 0)) socket.resetAndDestroy();
      response.destroy();
    }
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

/** The socket, if the body can go to it as it is: sees to it that the response's head says so. */
function socketOf(response: NodeResponse): NodeSocket | null {
  if (!isNode || response.stream !== undefined || response.headersSent) return null;
  const { socket } = response;
  if (!socket?.writable || !canBeReset(socket) || !isBare(response)) return null;
  response.setHeader!("connection", "close");
  response.removeHeader!("transfer-encoding"); // none, where Node would put its own
  return socket;
}

/** True over TCP, and not over TLS or a pipe, where a body that is cut would look whole if it were not in chunks. */
function canBeReset(socket: NodeSocket): boolean {
  const { Socket } = process.getBuiltinModule("node:net");
  return socket instanceof Socket && !("encrypted" in socket) && socket.remoteFamily !== undefined;
}

/** Whether nobody wants to see what is written, and it goes over the wire as it is. */
function isBare(response: NodeResponse): boolean {
  const { ServerResponse } = process.getBuiltinModule("node:http");
  if (response.write !== ServerResponse.prototype.write) return false;
  return !response.hasHeader!("transfer-encoding") && !response.hasHeader!("content-length");
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

/** The last frame as a Buffer, which a socket makes of all else at each write. */
let lastFrame: Uint8Array | null = null;
/** See {@link lastFrame}. */
let lastBuffer: Uint8Array | null = null;

function bufferOf(frame: Uint8Array): Uint8Array {
  if (frame !== lastFrame) {
    lastFrame = frame;
    lastBuffer = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  }
  return lastBuffer!;
}

function isDestroyed({ destroyed, stream }: NodeResponse): boolean {
  return destroyed ?? stream?.destroyed ?? true;
}

/** RFC 9113, 7. */
const INTERNAL_ERROR = 2;

function ignore(): void {}
