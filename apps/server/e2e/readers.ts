/*
 * A process full of readers, for slow-readers.test.ts: raw sockets that check that the numbers in the data of their
 * events begin after `from`, ascend by one, and end at `last`. Told what to do, and telling what it saw, over IPC.
 */

export interface ReadersOrder {
  port: number;
  streams: number;
  /** Streams that stop to read once they have had their first event. */
  stalled: number;
  last: number;
}

export interface ReadersReport {
  kind: "open" | "complete" | "stalled streams closed" | "resumed";
  wrong: string[];
}

const report = (kind: ReadersReport["kind"]): void => {
  const message: ReadersReport = { kind, wrong };
  process.send!(message);
};
const wrong: string[] = [];
const READY = /\ndata: \{"resume"[^\n]*\nid: ([^\n]+)(?=\n)/;
const MARK = Buffer.from("\ndata: ");
const DIGITS = 7;

class Reader {
  seen = 0;
  id = "";
  #rest: Buffer = Buffer.alloc(0);
  /** From one mark to the next, last time: events are of the same length but for their ids. */
  #stride = 0;
  readonly last: number;
  readonly stalls: boolean;
  readonly onReady: () => void;
  readonly onLast: () => void;

  constructor(last: number, stalls: boolean, onReady: () => void, onLast: () => void) {
    this.last = last;
    this.stalls = stalls;
    this.onReady = onReady;
    this.onLast = onLast;
  }

  /** True when it wants no more. */
  take(chunk: Buffer): boolean {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let from = 0;
    if (this.id === "") {
      const ready = READY.exec(bytes.toString("latin1"));
      if (ready === null) {
        this.#rest = Buffer.from(bytes);
        return false;
      }
      this.id = ready[1]!;
      from = ready.index + ready[0].length;
      this.onReady();
      if (this.stalls) {
        // When the server closes a paused socket, the socket still hands over what it had received.
        this.#rest = Buffer.from(bytes.subarray(from));
        return true;
      }
    }
    for (;;) {
      let at = from + this.#stride;
      if (bytes[at] !== 10 || bytes[at + 1] !== 100) at = bytes.indexOf(MARK, from);
      const end = at + MARK.length + DIGITS;
      if (at === -1 || end > bytes.length) {
        this.#rest = Buffer.from(
          bytes.subarray(at === -1 ? Math.max(from, bytes.length - MARK.length) : from),
        );
        return false;
      }
      let number = 0;
      for (let place = at + MARK.length; place < end; place++) number = number * 10 + bytes[place]! - 48;
      if (number !== this.seen + 1 && wrong.length < 10) wrong.push(`${number} after ${this.seen}`);
      this.seen = number;
      this.#stride = at - from;
      from = end;
      if (number === this.last) this.onLast();
    }
  }
}

async function open(port: number, reader: Reader, lastEventId: string, onClose: () => void): Promise<void> {
  // HTTP/1.0: a body without chunks, which are not what is tested here.
  const cursor = lastEventId === "" ? "" : `last-event-id: ${lastEventId}\r\n`;
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (socket) =>
        void socket.write(`GET /events?topic=numbers HTTP/1.0\r\nhost: localhost\r\n${cursor}\r\n`),
      data: (socket, bytes) => {
        if (reader.take(bytes)) socket.pause();
      },
      close: onClose,
      error: () => {},
    },
  });
}

function counter(count: number, done: () => void): () => void {
  let left = count;
  return () => {
    if (--left === 0) done();
  };
}

process.on("message", (order: ReadersOrder) => {
  const { port, streams, stalled, last } = order;
  const ready = counter(streams, () => report("open"));
  const complete = counter(streams - stalled, () => report("complete"));
  const resumed = counter(stalled, () => report("resumed"));
  const slow: Reader[] = [];
  const closed = counter(stalled, () => {
    report("stalled streams closed");
    for (const { id } of slow) {
      const again = new Reader(last, false, () => {}, resumed);
      void open(port, again, id, () => {});
    }
  });
  for (let at = 0; at < streams; at++) {
    const stalls = at < stalled;
    const reader = new Reader(last, stalls, ready, complete);
    if (stalls) slow.push(reader);
    void open(port, reader, "", stalls ? closed : () => {});
  }
});
