import { connect } from "node:net";

/** What came of one request. `reset`: it was sent, and never answered. */
export type Outcome = number | "refused" | "reset";

/** Publishes one event after the other on a socket of its own, and knows of each whether it was sent, and answered. */
export class RestlessPublisher {
  readonly outcomes: Outcome[] = [];
  /** The data that were answered with 200. */
  readonly acknowledged: string[] = [];
  readonly #port: number;
  readonly #name: string;
  readonly #keepAlive: boolean;
  #sent = 0;

  /** @param keepAlive sends on the same connection again, until it is told not to */
  constructor(port: number, name: string, keepAlive: boolean) {
    this.#port = port;
    this.#name = name;
    this.#keepAlive = keepAlive;
  }

  /** Resolves once nobody listens any more. */
  async run(): Promise<void> {
    while (this.outcomes.at(-1) !== "refused") await this.#connection();
  }

  #connection(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = connect(this.#port, "127.0.0.1");
    let waitsFor: string | null = null;
    let isOpen = false;
    let received = "";
    const send = (): void => {
      received = "";
      waitsFor = `${this.#name} ${this.#sent++}`;
      const connection = this.#keepAlive ? "keep-alive" : "close";
      socket.write(
        `POST /publish?topic=t HTTP/1.1\r\nhost: localhost\r\nconnection: ${connection}\r\n` +
          `content-type: text/plain\r\ncontent-length: ${waitsFor.length}\r\n\r\n${waitsFor}`,
      );
    };
    socket.on("connect", () => {
      isOpen = true;
      send();
    });
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      const [head = "", body] = received.split("\r\n\r\n");
      if (body === undefined || body.length < Number(/content-length: ([0-9]+)/i.exec(head)?.[1])) return;
      const status = Number(head.split(" ")[1]);
      this.outcomes.push(status);
      if (status === 200) this.acknowledged.push(waitsFor!);
      waitsFor = null;
      if (/^connection: close/im.test(head) || !this.#keepAlive) socket.end();
      else send();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      if (!isOpen) this.outcomes.push("refused");
      else if (waitsFor !== null) this.outcomes.push("reset");
      resolve();
    });
    return promise;
  }
}
