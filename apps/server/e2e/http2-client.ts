import { connect, type TLSSocket } from "node:tls";
import { createDecoder, type ServerSentEvent } from "@sse/protocol";

/*
 * HTTP/2 by hand (RFC 9113), for a client that gives the server room to write only when it is told to: libraries give it
 * by themselves.
 */

export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
export const [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS] = [0, 1, 2, 3, 4] as const;
export const [PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [5, 6, 7, 8, 9] as const;
export const ACK = 0x1;
export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;
export const HEAD_BYTES = 9;

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = new Uint8Array(),
): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A number behind some bits that have a meaning of their own (RFC 7541, 5.1). */
export function prefixed(bits: number, prefix: number, value: number): Buffer {
  const most = 2 ** prefix - 1;
  if (value < most) return Buffer.of(bits | value);
  const bytes = [bits | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([prefixed(0, 7, bytes.length), bytes]);
}

/** Literal fields that nobody has to remember (RFC 7541, 6.2.2). */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

/** One request of a stream of events, in the 65,535 bytes that every HTTP/2 stream has at first. */
export class Http2Stream {
  readonly events: ServerSentEvent[] = [];
  /** True once the server has ended it in order. */
  ended = false;
  /** True once the server has cut it off. */
  reset = false;
  readonly grant: (bytes: number) => void;
  readonly #decoder = createDecoder({ onEvent: (event) => this.events.push(event) });

  /** @param grant lets the server write so many more bytes */
  constructor(grant: (bytes: number) => void) {
    this.grant = grant;
  }

  take(type: number, flags: number, payload: Uint8Array): void {
    if (type === DATA) this.#decoder.feed(payload);
    if (type === RST_STREAM) this.reset = true;
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) this.ended = true;
  }
}

/** One connection, which has room for 65,535 bytes besides what its streams have, until it is granted more. */
export class Http2Client implements Disposable {
  readonly #socket: TLSSocket;
  readonly #streams = new Map<number, Http2Stream>();
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("error", () => {}).on("data", (bytes: Buffer) => this.#read(bytes));
    socket.write(PREFACE);
    socket.write(frame(SETTINGS, 0, 0));
  }

  static connect(port: number): Promise<Http2Client> {
    const { promise, resolve, reject } = Promise.withResolvers<Http2Client>();
    const options = { port, host: "127.0.0.1", ALPNProtocols: ["h2"], rejectUnauthorized: false };
    const socket = connect(options, () => resolve(new Http2Client(socket)));
    socket.once("error", reject);
    return promise;
  }

  open(path: string): Http2Stream {
    const id = 2 * this.#streams.size + 1;
    const stream = new Http2Stream((bytes) => this.#grant(id, bytes));
    this.#streams.set(id, stream);
    const request = { ":method": "GET", ":scheme": "https", ":path": path, ":authority": "localhost" };
    this.#socket.write(frame(HEADERS, END_STREAM | END_HEADERS, id, block(Object.entries(request))));
    return stream;
  }

  /** Lets the server write so many more bytes to all streams together. */
  grant(bytes: number): void {
    this.#grant(0, bytes);
  }

  #grant(id: number, bytes: number): void {
    const increment = Buffer.alloc(4);
    increment.writeUInt32BE(bytes);
    this.#socket.write(frame(WINDOW_UPDATE, 0, id, increment));
  }

  #read(bytes: Buffer): void {
    let rest = Buffer.concat([this.#rest, bytes]);
    while (rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + rest.readUIntBE(0, 3);
      if (rest.length < end) break;
      const [type, flags] = [rest[3]!, rest[4]!];
      if (type === SETTINGS && (flags & ACK) === 0) this.#socket.write(frame(SETTINGS, ACK, 0));
      this.#streams.get(rest.readUInt32BE(5))?.take(type, flags, rest.subarray(HEAD_BYTES, end));
      rest = rest.subarray(end);
    }
    this.#rest = rest;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
