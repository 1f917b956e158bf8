import type { Socket } from "bun";

/** Connections that an attacker keeps open without finishing what it began. */
const MOST_HALF_OPEN = 200;

const bytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
const post = (length: number | string, body: string): string =>
  `POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;

/** What is sent on a connection, and left at that. */
const ATTACKS: readonly (() => string | Uint8Array)[] = [
  () => "",
  () => bytes(512),
  () => "GET /events?topic=numbers HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
  () => `GET /events HTTP/1.1\r\nhost: localhost\r\n${"x: y\r\n".repeat(5000)}\r\n`,
  () => `GET /events?topic=${"a".repeat(100_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
  () => `GET /events?topic=${"*/".repeat(300)}* HTTP/1.1\r\nhost: localhost\r\n\r\n`,
  () => "GET /events?topic=numbers HTTP/1.1\r\nhost: evil.example\r\n\r\n",
  () => "GET /events?topic=numbers&lastEventId=%00%0d%0a HTTP/1.1\r\nhost: localhost\r\n\r\n",
  () => post(2, "{}"),
  () => post(1_000_000, '[{"topic":'),
  () => post(10 ** 12, "["),
  () => post(100_000, "[".repeat(100_000)),
  () => post("1e3", "x"),
];

/** Opens connections and does harm on them, until it is stopped. */
export class Attacker implements Disposable {
  attacks = 0;
  readonly #port: number;
  readonly #open = new Set<Socket>();
  readonly #timer: Timer;

  /** @param every milliseconds between two attacks */
  constructor(port: number, every: number) {
    this.#port = port;
    this.#timer = setInterval(() => void this.#attack(), every);
  }

  async #attack(): Promise<void> {
    const attack = ATTACKS[this.attacks++ % ATTACKS.length]!;
    try {
      await Bun.connect({
        hostname: "127.0.0.1",
        port: this.#port,
        socket: {
          open: (socket) => {
            this.#open.add(socket);
            socket.write(attack());
            if (this.#open.size > MOST_HALF_OPEN) this.#open.values().next().value!.terminate();
          },
          data: () => {},
          close: (socket) => void this.#open.delete(socket),
          error: () => {},
        },
      });
    } catch {
      // The server restarts.
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const socket of this.#open) socket.terminate();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
