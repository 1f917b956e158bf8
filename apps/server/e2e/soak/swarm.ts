import { type ReaderUser, ReturningReader } from "../returning-reader.ts";

/*
 * A process full of readers that behave as readers do, for soak.test.ts: they come and go, lose their connections, stop to
 * read for a while, and return. Each checks that the numbers in the data of its events ascend by one.
 */

export type Order =
  | { kind: "open"; port: number; streams: number }
  /** All connections are lost at once; or they were lost with their server. They tell when all of them are back. */
  | { kind: "storm" }
  | { kind: "return" }
  /** The server is about to be killed, and cannot say a word; or that is over. */
  | { kind: "killed"; now: boolean }
  /** They settle down, and wait for the event with this number. */
  | { kind: "finish"; last: number }
  | { kind: "stop" };

export interface Report {
  kind: "open" | "back" | "complete";
  wrong: string[];
  /** Connections that were cut by the readers, and stalls. */
  cuts: number;
  stalls: number;
  /** Streams that they were given. */
  lives: number;
  /** Streams that the server closed without a word: its socket took no more, as when the machine is busy. */
  wordless: number;
}

/** Milliseconds between two readers that lose their connection, and between two that stop to read. */
const CUT_EVERY = 20;
const STALL_EVERY = 100;
const LONGEST_STALL = 4000;

const readers: ReturningReader[] = [];
const wrong: string[] = [];
/** Readers whose connection may end without a word: they have cut it, or have not read. */
const excused = new WeakSet<ReturningReader>();
let isKilled = false;
let last = Infinity;
let cuts = 0;
let stalls = 0;
let wordless = 0;
let timers: Timer[] = [];

function complain(text: string): void {
  if (wrong.length < 10) wrong.push(text);
}

function report(kind: Report["kind"]): void {
  const message: Report = {
    kind,
    wrong,
    cuts,
    stalls,
    wordless,
    lives: readers.reduce((sum, { lives }) => sum + lives, 0),
  };
  process.send!(message);
}

let complete = 0;
let began = 0;
/** Those who have had no stream since they are to return. */
let away = new Set<ReturningReader>();

const user: ReaderUser = {
  began(reader, resume) {
    if (resume !== (reader.lives === 1 ? "fresh" : "resumed")) complain(`began ${resume}`);
    if (reader.lives === 1 && ++began === readers.length) report("open");
    if (away.delete(reader) && away.size === 0) report("back");
  },
  received(reader, type, data) {
    if (type !== "message") return complain(`${type} ${data}`);
    const number = Number(data.slice(0, data.indexOf(" ")));
    if (number !== reader.seen + 1 && reader.seen > 0) complain(`${number} after ${reader.seen}`);
    reader.seen = number;
    if (number === last) countComplete();
  },
  closed(reader, wait) {
    if (wait === null && !isKilled && !excused.delete(reader)) wordless++;
  },
  refused: (_, head) => complain(head),
};

function countComplete(): void {
  if (++complete === readers.length) report("complete");
}

function anyOpen(): ReturningReader | undefined {
  const reader = readers[Math.floor(Math.random() * readers.length)]!;
  return reader.isOpen ? reader : undefined;
}

function cut(reader: ReturningReader | undefined): void {
  if (reader === undefined) return;
  cuts++;
  excused.add(reader);
  reader.cut();
}

function stall(reader: ReturningReader | undefined): void {
  if (reader === undefined) return;
  stalls++;
  excused.add(reader);
  reader.stall(Math.random() * LONGEST_STALL);
}

const orders: { [Kind in Order["kind"]]: (order: Extract<Order, { kind: Kind }>) => void } = {
  open({ port, streams }) {
    for (let at = 0; at < streams; at++) readers.push(new ReturningReader(port, "numbers", user));
    for (const reader of readers) void reader.open();
    timers = [setInterval(() => cut(anyOpen()), CUT_EVERY), setInterval(() => stall(anyOpen()), STALL_EVERY)];
  },
  storm() {
    away = new Set(readers);
    for (const reader of readers) if (reader.isOpen) cut(reader);
  },
  return() {
    away = new Set(readers);
  },
  killed({ now }) {
    isKilled = now;
  },
  finish(order) {
    for (const timer of timers) clearInterval(timer);
    ({ last } = order);
    for (const { seen } of readers) if (seen === last) countComplete();
  },
  stop() {
    for (const reader of readers) reader.stop();
  },
};

process.on("message", (order: Order) => orders[order.kind](order as never));
