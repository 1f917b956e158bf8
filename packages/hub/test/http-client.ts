import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { SinkClient } from "../src/testing/sink-contract.ts";

/** A client of HTTP/1.1 that shows what came in which packet, and leaves in every way there is. */
export class HttpClient implements SinkClient {
  readonly socket: Socket;
  /** What came, in the order and the parts in which it came. */
  readonly packets: string[] = [];
  readonly #body = new ResponseBody();
  #isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      this.packets.push(text);
      this.#body.take(text);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
    });
    socket.on("end", () => {
      this.#isClosed = true;
      this.#body.end();
    });
  }

  /** @param to a port, over TCP or TLS; or the path of a pipe */
  static async connect(to: number | string, method = "GET", path = "/", isTls = false): Promise<HttpClient> {
    const place = typeof to === "string" ? { path: to } : { port: to, host: "127.0.0.1", noDelay: true };
    const socket = isTls
      ? connectTls({ ...place, rejectUnauthorized: false })
      : connect({ ...place, allowHalfOpen: true });
    const client = new HttpClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? "secureConnect" : "connect", resolve).once("error", reject);
    });
    socket.write(`${method} ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    return client;
  }

  /** Head and body, as they came. */
  get all(): string {
    return this.packets.join("");
  }

  text(): string {
    return this.#body.text;
  }

  ended(): "closed" | "aborted" | null {
    if (this.#body.isWhole) return "closed";
    return this.#isClosed ? "aborted" : null;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  leave(): void {
    this.socket.destroy();
  }
}

/** Takes a response apart whose body comes in chunks, of any length, or ends with the connection (RFC 9112, 6.3 and 7.1). */
class ResponseBody {
  isWhole = false;
  #isInChunks = false;
  #parts: string[] = [];
  #rest = "";
  #isBody = false;
  /** What is left of the chunk that is being read, its line end included. */
  #left = 0;

  get text(): string {
    if (this.#parts.length > 1) this.#parts = [this.#parts.join("")];
    return this.#parts[0] ?? "";
  }

  /** The connection has ended, and was not reset. */
  end(): void {
    if (this.#isBody && !this.#isInChunks) this.isWhole = true;
  }

  take(text: string): void {
    let rest = this.#rest + text;
    if (!this.#isBody) {
      const end = rest.indexOf("\r\n\r\n");
      this.#isBody = end !== -1;
      if (this.#isBody) {
        this.#isInChunks = /\r\ntransfer-encoding: chunked\r\n/i.test(rest.slice(0, end + 2));
        rest = rest.slice(end + 4);
      }
    }
    if (this.#isBody && !this.#isInChunks) {
      this.#parts.push(rest);
      rest = "";
    }
    while (this.#isBody && rest !== "" && !this.isWhole) {
      if (this.#left > 2) {
        const part = rest.slice(0, this.#left - 2);
        this.#parts.push(part);
        this.#left -= part.length;
        rest = rest.slice(part.length);
      } else if (this.#left > 0) {
        const part = rest.slice(0, this.#left);
        this.#left -= part.length;
        rest = rest.slice(part.length);
      } else {
        const end = rest.indexOf("\r\n");
        if (end === -1) break;
        const size = Number.parseInt(rest.slice(0, end), 16);
        rest = rest.slice(end + 2);
        if (size === 0) this.isWhole = true;
        else this.#left = size + 2;
      }
    }
    this.#rest = rest;
  }
}
