import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A request that went through the proxy. */
export interface PassedRequest {
  /** Path and query. */
  readonly target: string;
  /** The `Last-Event-ID` header. */
  readonly lastEventId: string | null;
  /** Of the answer, once it has begun. */
  status: number | null;
  /** True once its connection was cut. */
  cut: boolean;
}

/** How many bytes of the answer to let through, its head included, before the connection is cut. */
type Budget = (request: PassedRequest) => number;

/** Stands between a browser and a server, keeps a record of the requests, and cuts connections in the middle of a line. */
export class CuttingProxy implements AsyncDisposable {
  readonly requests: PassedRequest[] = [];
  readonly #target: number;
  readonly #budget: Budget;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number, budget: Budget) {
    this.#target = target;
    this.#budget = budget;
    this.#server = createServer((client) => this.#pass(client));
  }

  /** @param target the server's port */
  static async start(target: number, budget: Budget = () => Infinity): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, budget);
    const listening = Promise.withResolvers<void>();
    proxy.#server.listen(0, "127.0.0.1", listening.resolve);
    await listening.promise;
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The requests for the stream of a topic, or of what begins with it. */
  streams(topic: string): PassedRequest[] {
    return this.requests.filter(({ target }) =>
      new URL(target, this.url).searchParams.getAll("topic").some((each) => each.startsWith(topic)),
    );
  }

  #pass(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    let request: PassedRequest | null = null;
    let left = Infinity;

    client.on("data", (bytes: Buffer) => {
      const next = readRequest(bytes);
      if (next !== null) {
        request = next;
        left = this.#budget(next);
        this.requests.push(next);
      }
      server.write(bytes);
    });
    server.on("data", (bytes: Buffer) => {
      if (request !== null) request.status ??= readStatus(bytes);
      if (bytes.length <= left) {
        left -= bytes.length;
        client.write(bytes);
        return;
      }
      if (request !== null) request.cut = true;
      client.write(bytes.subarray(0, insideLine(bytes, left)));
      // Chromium drops what a script has not read yet of an answer that breaks: so the break comes a moment after it.
      setTimeout(() => client.end(), 50);
      // Bun tells a destroyed socket's end, which would break the answer at once.
      server.removeAllListeners("data").removeAllListeners("end").destroy();
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("end", () => other.end());
      socket.on("error", () => other.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** The request that begins with these bytes; null for a body's. A browser writes the head of a request in one go. */
function readRequest(bytes: Buffer): PassedRequest | null {
  const head = bytes.toString("latin1");
  const [, target] = /^[A-Z]+ (\S+) HTTP\/1\.1\r\n/.exec(head) ?? [];
  if (target === undefined) return null;
  const [, lastEventId = null] = /^last-event-id: (.*)$/im.exec(head.replaceAll("\r", "")) ?? [];
  return { target, lastEventId, status: null, cut: false };
}

function readStatus(bytes: Buffer): number {
  return Number(bytes.toString("latin1").slice("HTTP/1.1 ".length).slice(0, 3));
}

/** The last place up to `end` that has a part of a line on its left: what is cut there is no whole event. */
function insideLine(bytes: Buffer, end: number): number {
  let place = end;
  while (place > 0 && (bytes[place - 1] === 0x0a || bytes[place - 1] === 0x0d)) place--;
  return place;
}
