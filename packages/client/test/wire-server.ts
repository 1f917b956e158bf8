import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A request as it came over the wire. */
export interface WireRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Names in lower case; values as bytes, one to a character. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What to do with one request: the answer is written byte by byte as the test wants it. */
export type Answer = (exchange: Exchange, number: number) => void;

/** One request and its connection. */
export class Exchange {
  readonly request: WireRequest;
  readonly socket: Socket;
  /** True once the client has let go. */
  gone = false;

  constructor(request: WireRequest, socket: Socket) {
    this.request = request;
    this.socket = socket;
    socket.on("close", () => (this.gone = true));
  }

  /** Writes bytes as they are. */
  write(...parts: (string | Uint8Array)[]): this {
    for (const part of parts) this.socket.write(part);
    return this;
  }

  /** A status line and headers, and a body that goes on until the connection ends. */
  head(status: number, headers: Record<string, string> = {}): this {
    const lines = Object.entries({ connection: "close", ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    return this.write(`HTTP/1.1 ${status} Whatever\r\n${lines.join("")}\r\n`);
  }

  /** The beginning of a stream in chunks, so that its end can be told from a cut. */
  stream(...texts: string[]): this {
    this.head(200, { "content-type": "text/event-stream", "transfer-encoding": "chunked" });
    return this.send(...texts);
  }

  /** Chunks of the stream's body. */
  send(...texts: (string | Uint8Array)[]): this {
    for (const text of texts) {
      const bytes = Buffer.from(text as string);
      this.write(`${bytes.length.toString(16)}\r\n`, bytes, "\r\n");
    }
    return this;
  }

  /** Ends a stream in chunks as a server does that has no more to say. */
  finish(): void {
    this.write("0\r\n\r\n");
    this.socket.end();
  }

  /** Ends the connection, wherever the answer stands. */
  cut(): void {
    this.socket.end();
  }
}

/** A stream that always has more, as long as somebody reads: 256 MiB of events of 64 KiB with the ids 1, 2, 3, ... */
export class Flood {
  /** Events that the connection has taken. */
  written = 0;

  answer(exchange: Exchange): void {
    exchange.stream();
    const data = "x".repeat(64 * 1024);
    const more = (): void => {
      while (!exchange.gone && this.written < 4096) {
        exchange.send(`data: "${data}"\nid: ${++this.written}\n\n`);
        if (exchange.socket.writableNeedDrain) return void exchange.socket.once("drain", more);
      }
    };
    more();
  }

  /** Waits until nothing more is taken, and answers how many events were. */
  async settled(): Promise<number> {
    let before = -1;
    for (let quiet = 0; quiet < 5; before = this.written) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      quiet = before === this.written ? quiet + 1 : 0;
    }
    return this.written;
  }
}

/** A server that says exactly the bytes that a test wants it to. */
export class WireServer implements AsyncDisposable {
  readonly exchanges: Exchange[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: Answer) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      let bytes = "";
      socket.on("data", (chunk: Buffer) => {
        bytes += chunk.toString("latin1");
        const request = readRequest(bytes);
        if (request === null) return;
        bytes = "";
        const exchange = new Exchange(request, socket);
        this.exchanges.push(exchange);
        answer(exchange, this.exchanges.length);
      });
    });
  }

  static async start(answer: Answer): Promise<WireServer> {
    const server = new WireServer(answer);
    await new Promise<void>((resolve) => void server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get requests(): WireRequest[] {
    return this.exchanges.map(({ request }) => request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Null while some of it is still under way. */
function readRequest(bytes: string): WireRequest | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return null;
  const [line, ...lines] = bytes.slice(0, end).split("\r\n");
  const [method, target] = line!.split(" ") as [string, string];
  const headers = Object.fromEntries(
    lines.map((each) => [
      each.slice(0, each.indexOf(":")).toLowerCase(),
      each.slice(each.indexOf(":") + 1).trim(),
    ]),
  );
  const body = bytes.slice(end + 4);
  return body.length < Number(headers["content-length"] ?? 0) ? null : { method, target, headers, body };
}

/** How long to wait for a condition, in milliseconds: what comes true at all comes true in this time on a busy machine. */
const PATIENCE = 120_000;

/** Waits for a condition, and says which one did not come true. */
export async function until(condition: () => unknown): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${PATIENCE} ms: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
