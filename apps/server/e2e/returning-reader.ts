import { createDecoder, type Decoder } from "@sse/protocol";
import type { Socket } from "bun";

/** Milliseconds until it tries again where nobody listens, or nobody said when. */
const AGAIN = 200;

/** What a reader tells of itself. */
export interface ReaderUser {
  /** It was told where it begins: `fresh`, `resumed` or `reset`. */
  began(reader: ReturningReader, resume: string): void;
  /** An event of a publisher, or a `sse:gap` or `sse:end`. */
  received(reader: ReturningReader, type: string, data: string): void;
  /** Its connection is closed. @param wait how long it was told to wait, in milliseconds; null for not at all */
  closed(reader: ReturningReader, wait: number | null): void;
  /** What it was answered was no stream. */
  refused(reader: ReturningReader, head: string): void;
}

/** A client that waits as long as it is told to and resumes where it was, on a raw socket: thousands fit into a process. */
export class ReturningReader {
  /** The number of the last event, for whoever counts. */
  seen = 0;
  /** Streams that it was given. */
  lives = 0;
  readonly #request: string;
  readonly #port: number;
  readonly #user: ReaderUser;
  readonly #decoder: Decoder;
  #socket: Socket | null = null;
  #head = "";
  #isInBody = false;
  #wait: number | null = null;
  #timer: Timer | undefined;
  #stopped = false;

  /** @param topic as it stands in a query */
  constructor(port: number, topic: string, user: ReaderUser) {
    this.#port = port;
    this.#user = user;
    // HTTP/1.0: a body without chunks, which are not what is tested here.
    this.#request = `GET /events?topic=${topic} HTTP/1.0\r\nhost: localhost\r\naccept: text/event-stream\r\n`;
    this.#decoder = createDecoder({ onEvent: ({ type, data }) => this.#take(type, data) });
  }

  get isOpen(): boolean {
    return this.#isInBody;
  }

  async open(): Promise<void> {
    const id = this.#decoder.lastEventId;
    const cursor = id === "" ? "" : `last-event-id: ${id}\r\n`;
    try {
      await Bun.connect({
        hostname: "127.0.0.1",
        port: this.#port,
        socket: {
          open: (socket) => {
            this.#socket = socket;
            if (this.#stopped) socket.end();
            else socket.write(`${this.#request}${cursor}\r\n`);
          },
          data: (_, bytes) => this.#read(bytes),
          close: () => this.#closed(),
          error: () => {},
        },
      });
    } catch {
      this.#again(AGAIN);
    }
  }

  /** Drops the connection, as a lost network does; it comes back. */
  cut(): void {
    this.#socket?.terminate();
  }

  /** Does not read for so many milliseconds. */
  stall(milliseconds: number): void {
    const socket = this.#socket;
    socket?.pause();
    setTimeout(() => socket?.resume(), milliseconds);
  }

  /** Closes for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.end();
  }

  #take(type: string, data: string): void {
    if (type === "sse:ready") {
      this.lives++;
      this.#user.began(this, (JSON.parse(data) as { resume: string }).resume);
    } else if (type === "sse:closing") this.#wait = (JSON.parse(data) as { retry: number }).retry;
    else this.#user.received(this, type, data);
  }

  #read(bytes: Uint8Array): void {
    if (this.#isInBody) return this.#decoder.feed(bytes);
    this.#head += Buffer.from(bytes).toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1) return;
    if (!this.#head.startsWith("HTTP/1.1 200 ")) return this.#user.refused(this, this.#head.slice(0, end));
    this.#isInBody = true;
    this.#decoder.feed(Buffer.from(this.#head.slice(end + 4), "latin1"));
  }

  #closed(): void {
    if (this.#isInBody) this.#user.closed(this, this.#wait);
    this.#again(this.#wait ?? AGAIN * (0.5 + Math.random()));
    this.#socket = null;
    this.#isInBody = false;
    this.#wait = null;
    this.#head = "";
    this.#decoder.reset();
  }

  #again(milliseconds: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.open(), milliseconds);
  }
}
