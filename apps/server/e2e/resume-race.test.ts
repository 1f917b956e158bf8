import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerKind, BrokerProcess, missing } from "@sse/hub/test/broker-process.ts";
import { prepare, type Race, run } from "./resume-race.ts";
import { ServerProcess } from "./server-process.ts";

/*
 * Clients come back after a restart, with ids of events that no node has in memory any more, at the very moment when the
 * last event of their topics is published. Each has to be given it, and is told 204 only after it.
 *
 * RACE_CLIENTS=2000 bun test e2e/resume-race.test.ts
 */

const CLIENTS = Number(Bun.env.RACE_CLIENTS ?? 60);
const SIZE = ["--max-log-bytes", "4GiB", "--max-log-events", "off", "--max-log-age", "off"];

const RACES: Readonly<Record<string, (client: number) => Race>> = {
  "a topic": (n) => ({
    topics: [`t/${n}`],
    before: [{ topic: `t/${n}`, data: "old" }],
    had: 1,
    during: [{ topic: `t/${n}`, data: "result", end: true }],
    data: ["result"],
  }),
  "a topic that has ended long ago": (n) => ({
    topics: [`ended/${n}`],
    before: [
      { topic: `ended/${n}`, data: "old" },
      { topic: `ended/${n}`, data: "result", end: true },
    ],
    had: 1,
    during: [],
    data: ["result"],
  }),
  "several topics": (n) => ({
    topics: [`a/${n}`, `b/${n}`],
    before: [
      { topic: `a/${n}`, data: "old a" },
      { topic: `b/${n}`, data: "old b" },
    ],
    had: 2,
    during: [
      { topic: `a/${n}`, data: "result a", end: true },
      { topic: `b/${n}`, data: "result b", end: true },
    ],
    data: ["result a", "result b"],
  }),
  "several topics, of which one has ended long ago": (n) => ({
    topics: [`c/${n}`, `d/${n}`],
    before: [
      { topic: `c/${n}`, data: "old c" },
      { topic: `d/${n}`, data: "result d", end: true },
    ],
    had: 1,
    during: [{ topic: `c/${n}`, data: "result c", end: true }],
    data: ["result d", "result c"],
  }),
  "a topic that begins anew": (n) => ({
    topics: [`anew/${n}`],
    before: [
      { topic: `anew/${n}`, data: "old" },
      { topic: `anew/${n}`, end: true },
    ],
    had: 1,
    during: [
      { topic: `anew/${n}`, data: "again" },
      { topic: `anew/${n}`, data: "result", end: true },
    ],
    data: ["again", "result"],
    beginsAnew: true,
  }),
  "a pattern": (n) => ({
    topics: [`p/${n}/*`],
    before: [{ topic: `p/${n}/a`, data: "old" }],
    had: 1,
    during: [
      { topic: `p/${n}/a`, data: "more", end: true },
      { topic: `p/${n}/b`, data: "result", end: true },
    ],
    data: ["more", "result"],
    isEndless: true,
  }),
};

const KINDS = Object.entries(RACES).map(([name, race]) => {
  // A pattern may match anything: each of these clients reads the whole log from its cursor on.
  const clients = race(0).isEndless === true ? Math.ceil(CLIENTS / 10) : CLIENTS;
  return [name, clients, Array.from({ length: clients }, (_, n) => race(n))] as const;
});

/** A log, and how to have it go when all is over. */
interface Place extends AsyncDisposable {
  readonly log: string;
}

async function file(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "sse-race-"));
  return {
    log: `sqlite:${join(folder, "events.db")}`,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

async function broker(kind: BrokerKind): Promise<Place> {
  const process = await BrokerProcess.start(kind);
  return { log: process.url, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}

describe.each([
  ["SQLite", "", file, 1],
  [`Redis, two nodes${missing("redis")}`, missing("redis"), () => broker("redis"), 2],
  [`NATS, two nodes${missing("nats")}`, missing("nats"), () => broker("nats"), 2],
] as const)("%s", (_, skipped, open, count) => {
  const resources = new AsyncDisposableStack();
  const nodes: string[] = [];
  const cursors = new Map<string, string[]>();

  beforeAll(async () => {
    if (skipped !== "") return;
    const { log } = resources.use(await open());
    const start = () => ServerProcess.start("--log", log, ...SIZE);
    {
      await using before = await start();
      const ids = await prepare(
        before.url,
        KINDS.flatMap(([, , races]) => races),
      );
      for (const [name, clients] of KINDS) cursors.set(name, ids.splice(0, clients));
      before.process.kill("SIGTERM");
      await before.process.exited;
    }
    for (let node = 0; node < count; node++) nodes.push(resources.use(await start()).url);
  });
  afterAll(() => resources.disposeAsync());

  test.skipIf(skipped !== "").each(KINDS)("%s: %i clients", async (name, clients, races) => {
    expect(await run(nodes, races, cursors.get(name)!)).toEqual({
      complete: clients,
      turnedAway: 0,
      stuck: 0,
      wrong: 0,
    });
  });
});
