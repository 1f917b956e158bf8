import { createDecoder } from "@sse/protocol";
import type { Socket } from "bun";

/** How long a stream stays on a node, in milliseconds, at most. */
const LONGEST_STAY = 1500;

/** A client that goes from node to node as it pleases, and as they die, and keeps what it is given. */
export class Hopper {
  /** The events of publishers, as they came. */
  readonly events: { id: string; data: string }[] = [];
  /** What should not have come: gaps, refusals. */
  readonly wrong: string[] = [];
  readonly topics: readonly string[];
  readonly #ports: readonly number[];
  readonly #random: () => number;
  #lastEventId = "";
  #socket: Socket | null = null;
  #timer: Timer | undefined;
  #stopped = false;
  readonly #ready = Promise.withResolvers<void>();

  /** @param ports of the nodes */
  constructor(topics: readonly string[], ports: readonly number[], random: () => number) {
    this.topics = topics;
    this.#ports = ports;
    this.#random = random;
    this.#connect();
  }

  /** Settled when it has been told for the first time where it begins. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  #connect(): void {
    if (this.#stopped) return;
    const port = this.#ports[Math.floor(this.#random() * this.#ports.length)]!;
    const query = this.topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&");
    const cursor = this.#lastEventId === "" ? "" : `last-event-id: ${this.#lastEventId}\r\n`;
    const decoder = createDecoder({
      onEvent: ({ type, data, lastEventId }) => this.#take(type, data, lastEventId),
      lastEventId: this.#lastEventId,
    });
    let head = "";
    // HTTP/1.0: a body without chunks, which are not what is tested here.
    const request = `GET /events?${query} HTTP/1.0\r\nhost: localhost\r\naccept: text/event-stream\r\n${cursor}\r\n`;
    Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => {
          this.#socket = socket;
          socket.write(request);
          this.#timer = setTimeout(() => socket.end(), this.#random() * LONGEST_STAY);
        },
        data: (_, bytes) => {
          if (head.endsWith("\r\n\r\n")) return decoder.feed(bytes);
          const text = head + bytes.toString("latin1");
          const end = text.indexOf("\r\n\r\n");
          if (end === -1) return void (head = text);
          const rest = bytes.subarray(end + 4 - head.length);
          head = text.slice(0, end + 4);
          if (!head.startsWith("HTTP/1.1 200")) this.wrong.push(head.split("\r\n")[0]!);
          else decoder.feed(rest);
        },
        close: () => this.#connectSoon(),
        error: () => {},
      },
    }).catch(() => this.#connectSoon());
  }

  #connectSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), 10 + this.#random() * 90);
  }

  #take(type: string, data: string, id: string): void {
    this.#lastEventId = id;
    if (type === "sse:ready") {
      this.#ready.resolve();
      if (data.includes('"reset"')) this.wrong.push(data);
    } else if (type === "sse:gap") this.wrong.push(data);
    else if (!type.startsWith("sse:")) this.events.push({ id, data });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.end();
  }
}
