import { createDecoder, type Decoder } from "@sse/protocol";

/*
 * A process full of readers that come back, for rolling-restart.test.ts: raw sockets that wait as long as they are told to
 * and resume where they were, and check that the numbers in the data of their events ascend by one from 1. Told what to
 * do, and telling what it saw, over IPC.
 */

export type Order = { kind: "open"; port: number; streams: number } | { kind: "finish"; last: number };

export interface Report {
  kind: "open" | "sent away" | "back" | "complete";
  wrong: string[];
  /** What the readers of the first life were told to wait, in milliseconds. */
  waits: number[];
}

const wrong: string[] = [];
const waits: number[] = [];
const readers: Reader[] = [];
let port = 0;
let last = Infinity;
const reported = new Set<Report["kind"]>();

function report(kind: Report["kind"], isTrue: (reader: Reader) => boolean): void {
  if (reported.has(kind) || !readers.every(isTrue)) return;
  reported.add(kind);
  const message: Report = { kind, wrong, waits };
  process.send!(message);
}

function complain(text: string): void {
  if (wrong.length < 10) wrong.push(text);
}

class Reader {
  seen = 0;
  lives = 0;
  /** Milliseconds; null while it was not told. */
  wait: number | null = null;
  readonly #decoder: Decoder;
  #isInBody = false;
  #head = "";

  constructor() {
    this.#decoder = createDecoder({
      onEvent: ({ type, data }) => {
        if (type === "sse:ready") this.#begin(data);
        else if (type === "sse:closing") this.wait = (JSON.parse(data) as { retry: number }).retry;
        else if (type === "message") this.#take(Number(data));
        else complain(`${type} ${data}`);
      },
    });
  }

  #begin(data: string): void {
    this.lives++;
    const { resume } = JSON.parse(data) as { resume: string };
    if (resume !== (this.lives === 1 ? "fresh" : "resumed")) complain(`began ${resume}`);
    report("open", ({ lives }) => lives > 0);
    report("back", ({ lives }) => lives > 1);
  }

  #take(number: number): void {
    if (number !== this.seen + 1) complain(`${number} after ${this.seen}`);
    this.seen = number;
    if (number === last) report("complete", ({ seen }) => seen === last);
  }

  read(bytes: Uint8Array): void {
    if (this.#isInBody) {
      this.#decoder.feed(bytes);
      return;
    }
    this.#head += Buffer.from(bytes).toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1) return;
    if (!this.#head.startsWith("HTTP/1.1 200 ")) complain(this.#head.slice(0, end));
    this.#isInBody = true;
    this.#decoder.feed(Buffer.from(this.#head.slice(end + 4), "latin1"));
  }

  closed(): void {
    if (this.#isInBody) {
      if (this.wait === null) complain("closed without a word");
      else if (waits.length < readers.length && this.lives === 1) {
        if (waits.push(this.wait) === readers.length) report("sent away", () => true);
      }
    }
    // Nobody listens while the server restarts; a browser tries again as late as it was told last.
    setTimeout(() => void this.open(), this.wait ?? 200);
    this.#isInBody = false;
    this.#head = "";
    this.#decoder.reset();
  }

  async open(): Promise<void> {
    const id = this.#decoder.lastEventId;
    const cursor = id === "" ? "" : `last-event-id: ${id}\r\n`;
    // HTTP/1.0: a body without chunks, which are not what is tested here.
    const request = `GET /events?topic=numbers HTTP/1.0\r\nhost: localhost\r\naccept: text/event-stream\r\n${cursor}\r\n`;
    try {
      await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          open: (socket) => void socket.write(request),
          data: (_, bytes) => this.read(bytes),
          close: () => this.closed(),
          error: () => {},
        },
      });
    } catch {
      setTimeout(() => void this.open(), 200);
    }
  }
}

process.on("message", (order: Order) => {
  if (order.kind === "finish") {
    ({ last } = order);
    report("complete", ({ seen }) => seen === last);
    return;
  }
  ({ port } = order);
  for (let at = 0; at < order.streams; at++) readers.push(new Reader());
  for (const reader of readers) void reader.open();
});
