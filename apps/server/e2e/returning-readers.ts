import { type ReaderUser, ReturningReader } from "./returning-reader.ts";

/*
 * A process full of readers that come back, for rolling-restart.test.ts, which check that the numbers in the data of their
 * events ascend by one from 1. Told what to do, and telling what it saw, over IPC.
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
const readers: ReturningReader[] = [];
let last = Infinity;
const reported = new Set<Report["kind"]>();

function report(kind: Report["kind"], isTrue: (reader: ReturningReader) => boolean): void {
  if (reported.has(kind) || !readers.every(isTrue)) return;
  reported.add(kind);
  const message: Report = { kind, wrong, waits };
  process.send!(message);
}

function complain(text: string): void {
  if (wrong.length < 10) wrong.push(text);
}

const user: ReaderUser = {
  began({ lives }, resume) {
    if (resume !== (lives === 1 ? "fresh" : "resumed")) complain(`began ${resume}`);
    report("open", (reader) => reader.lives > 0);
    report("back", (reader) => reader.lives > 1);
  },
  received(reader, type, data) {
    if (type !== "message") return complain(`${type} ${data}`);
    const number = Number(data);
    if (number !== reader.seen + 1) complain(`${number} after ${reader.seen}`);
    reader.seen = number;
    if (number === last) report("complete", ({ seen }) => seen === last);
  },
  closed({ lives }, wait) {
    if (wait === null) complain("closed without a word");
    else if (lives === 1 && waits.push(wait) === readers.length) report("sent away", () => true);
  },
  refused: (_, head) => complain(head),
};

process.on("message", (order: Order) => {
  if (order.kind === "finish") {
    ({ last } = order);
    report("complete", ({ seen }) => seen === last);
    return;
  }
  for (let at = 0; at < order.streams; at++) readers.push(new ReturningReader(order.port, "numbers", user));
  for (const reader of readers) void reader.open();
});
