import type { LagPolicy, StreamRequest } from "../src/index.ts";
import { Random } from "./random.ts";

export type LogKind = "memory" | "sqlite" | "broker";
export const LOG_KINDS: readonly LogKind[] = ["memory", "sqlite", "broker"];

/** What one run is made of: each seed another mix, because what happens rarely beside everything else happens often alone. */
export interface Config {
  readonly log: LogKind;
  readonly seed: number;
  readonly steps: number;
  readonly nodes: number;
  readonly clients: number;
  readonly topics: readonly string[];
  readonly selections: readonly (readonly string[])[];
  readonly lags: readonly LagPolicy[];
  readonly retention: { maxEvents: number; maxBytes: number; maxAge: number };
  /** What a log keeps in memory of what it holds elsewhere. */
  readonly window: { maxEvents: number; maxBytes: number };
  readonly hub: {
    maxFrameBytes: number;
    writesPerTurn: number;
    heartbeat: number | null;
    writeDeadline: number | null;
    maxAge: number | null;
    retry: number;
    maxStreams: number | null;
    maxStreamsPerAddress: number | null;
    maxStreamsPerTopic: number | null;
  };
  /** The log is looked at after each step: it is more true to life not to, as it may evict when it is looked at. */
  readonly isWatched: boolean;
  /** How often a step is something that waits to happen, and not something new. */
  readonly eagerness: number;
  /** What the socket of a client takes before a write blocks, in bytes. */
  readonly socket: number;
  /** How often bytes come in small pieces. */
  readonly cuts: number;
  /** Bytes of data around which sizes are drawn, besides short ones; 0: only short ones. */
  readonly bigData: number;
  /** How often a message has an id of its publisher, and ends its topic. */
  readonly ids: number;
  readonly ends: number;
  /** How often a message is checked by a schema that takes its time. */
  readonly hasSlowSchemas: boolean;
  /** Callbacks of the hub's user throw now and then. */
  readonly throws: number;
  /** The log answers late, out of turn; and fails now and then. */
  readonly isLate: boolean;
  readonly logErrors: number;
  /** Of the simulated broker: how far numbers are apart at most, how many of the newest events a node reads at its start. */
  readonly broker: {
    readonly stride: number;
    readonly recent: number;
    readonly maxAppend: number;
    /** Each event comes with the mark of the one before it. */
    readonly isLinked: boolean;
  };
  /** What can happen to the store. */
  readonly misfortunes: readonly Misfortune[];
  /** How often each kind of step is taken, in proportion. */
  readonly weights: Readonly<Record<StepKind, number>>;
  /** Of streams: in what the data of events comes, and control events. */
  readonly envelopes: readonly StreamRequest["envelope"][];
  readonly controls: readonly ("event" | "comment")[];
  /** How often data is published as JSON, and not as text. */
  readonly json: number;
  /** Of the clocks: how soon long work is left off for the next turn. */
  readonly turnSteps: number;
}

export type StepKind =
  | "publish"
  | "repeat"
  | "connect"
  | "leave"
  | "renew"
  | "cut"
  | "stall"
  | "go on"
  | "come back older"
  | "time"
  | "jump"
  | "clock"
  | "settle"
  | "drain"
  | "restart"
  | "crash"
  | "store";

/** What can happen to stores: some of it together, and everything. */
const MISFORTUNES = {
  memory: [["lose"]],
  sqlite: [
    ["full", "no room"],
    ["write", "read"],
    ["power", "full"],
    ["copy", "put back"],
    ["power", "delete -wal"],
    ["full", "no room", "write", "read", "power", "copy", "put back", "delete -wal"],
  ],
  broker: [
    ["cut", "down", "hang"],
    ["refuse", "hang"],
    ["lose"],
    ["lose", "cut"],
    ["put back", "wipe"],
    ["put back", "lose"],
    ["cut", "down", "hang", "refuse", "copy", "lose", "put back", "wipe"],
  ],
} as const;

export type Misfortune = (typeof MISFORTUNES)[LogKind][number][number];

const TOPICS = ["a", "b", "a/b", "a/b/c", "jobs/1", "日本/é"];
const SELECTIONS = [
  ["a"],
  ["b"],
  ["a", "b"],
  ["a/*"],
  ["**"],
  ["a/**", "b"],
  ["*", "a"],
  ["a/b"],
  ["a", "a/b", "b", "jobs/1"],
  ["jobs/1"],
  ["*/b/*", "日本/é"],
];

/** @param log the kind; the rest follows from the seed */
export function configOf(log: LogKind, seed: number): Config {
  const random = new Random(seed);
  const often = (probability: number, value: number): number => (random.chance(probability) ? value : 0);
  const topics = random.some(TOPICS, 4);
  const restarts = random.pick([0, 0.4, 1]);
  const isShort = random.chance(0.75);
  const isLinked = random.chance(0.6); // as Redis is; NATS leaves numbers out, and loses no end
  return {
    log,
    seed,
    // A broker takes more of them to say as much.
    steps: Math.round(
      (isShort ? 60 + random.below(240) : 300 + random.below(500)) * (log === "broker" ? 1.6 : 1),
    ),
    nodes: log === "broker" ? random.pick([1, 2, 2, 3, 3]) : 1,
    clients: 1 + random.below(10),
    topics,
    selections: random.some(
      [...random.some(SELECTIONS, 2), topics, random.some(topics, 2), [random.pick(topics)]],
      3,
    ),
    lags: random.chance(0.5) ? ["catch-up"] : ["catch-up", "latest", "disconnect"],
    retention: {
      maxEvents: random.pick([2, 3, 5, 8, 20, 1000, 1000]),
      maxBytes: random.pick([1500, 6000, 1e6, 1e6, 1e6]),
      maxAge: random.pick([1000, 20_000, 1e8, 1e8]),
    },
    window: {
      maxEvents: random.pick([1, 2, 5, 20, 1000]),
      maxBytes: random.pick([300, 300, 1000, 1e6, 1e6]),
    },
    hub: {
      maxFrameBytes: random.pick([1, 150, 600, 65_536]),
      writesPerTurn: random.pick([1, 2, 5, 512]),
      heartbeat: random.pick([null, 400, 15_000]),
      writeDeadline: random.pick([null, 1000, 30_000, 30_000]),
      maxAge: random.pick([null, null, 3000, 3_600_000]),
      retry: random.pick([30, 300, 2000]),
      maxStreams: random.pick([null, null, null, 3]),
      maxStreamsPerAddress: random.pick([null, null, 2]),
      maxStreamsPerTopic: random.pick([null, null, null, 2]),
    },
    isWatched: random.chance(0.5),
    eagerness: random.pick([0.5, 0.75, 0.9]),
    socket: random.pick([0, 100, 1000, 1e9]),
    cuts: random.pick([0, 0.3, 0.9]),
    bigData: random.chance(0.2) ? random.pick([1000, 4090, 8192, 16_384, 65_536]) : 0,
    ids: random.pick([0, 0.3, 0.8]),
    ends: random.pick([0, 0.05, 0.25, 0.4]),
    hasSlowSchemas: random.chance(0.15),
    throws: often(0.2, 0.3),
    isLate: random.chance(0.5),
    logErrors: often(0.2, 0.05),
    misfortunes: random.pick<readonly Misfortune[]>(MISFORTUNES[log]),
    broker: {
      stride: isLinked ? 1 : random.pick([1, 3]),
      recent: random.pick([1, 3, 10_000]),
      maxAppend: random.pick([1, 3, 1000]),
      isLinked,
    },
    weights: {
      publish: 10,
      repeat: random.pick([0, 6]),
      connect: 6,
      leave: often(0.5, 0.5),
      renew: often(0.7, 1),
      cut: random.pick([0, 1, 4]),
      stall: random.pick([0, 1, 3]),
      "go on": 2,
      "come back older": often(0.4, 1),
      time: 6,
      jump: often(0.3, 0.5),
      clock: often(0.5, 1),
      settle: random.pick([0, 1, 4]),
      drain: often(0.3, 0.5),
      restart: restarts,
      crash: random.chance(0.5) ? restarts : 0,
      store: often(0.8, random.pick(log === "broker" ? [1, 3, 6] : [0.5, 2, 5])),
    },
    turnSteps: random.pick([1, 10, 50, 400_000]),
    envelopes: random.chance(0.4) ? [undefined, "json"] : [undefined],
    controls: random.chance(0.3) ? ["event", "comment"] : ["event"],
    json: random.pick([0, 0, 0.3, 0.7]),
  };
}
