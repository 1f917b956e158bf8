import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { shown } from "../../../test/broker-log-tests.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { makeStream, manage as manageServer } from "../../../test/nats.ts";
import { until } from "../../../test/until.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { SelectorSet } from "../../topics/topic.ts";
import { RECENT } from "../broker/broker.ts";
import type { BrokerLog } from "../broker/broker-log.ts";
import { type EventId, formatEventId, parseEventId } from "../event-id.ts";
import type { EventLog } from "../event-log.ts";
import { Checkpoint, type Saved } from "./checkpoint.ts";
import type { NatsClient } from "./client.ts";
import { EndedTopics } from "./ended-topics.ts";
import { SLOTS } from "./message.ts";
import { type NatsLogOptions, openNatsLog } from "./nats-log.ts";

setDefaultTimeout(60_000);

const reason = missing("nats");

describe.skipIf(reason !== "")(`ends of topics in NATS${reason}`, () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start("nats");
  });
  /** With permissions of its own. */
  let own: BrokerProcess | null = null;
  afterAll(async () => {
    await broker[Symbol.asyncDispose]();
    await own?.[Symbol.asyncDispose]();
  });

  const manage = <T>(use: Parameters<typeof manageServer<T>>[1]) => manageServer(broker.url, use);
  const open = (prefix: string, more: Partial<NatsLogOptions> = {}) =>
    openNatsLog({ url: broker.url, prefix, checkEvery: 3, maxEvents: 5, ...more });
  const numberOf = (id: EventId) => parseEventId(id)!.cursor;
  const endOf = async (log: EventLog, topic: string): Promise<number> => {
    const selectors = new SelectorSet([topic]);
    const { ends } = await log.position({ selectors, lastEventId: "", replay: 0, counted: false });
    return ends[0]!;
  };
  const endsOf = (log: EventLog, ...topics: string[]) =>
    Promise.all(topics.map((topic) => endOf(log, topic)));
  /** @param others nodes that are to have read it, too, before more comes: what they read too late is evicted */
  const append = async (
    log: BrokerLog,
    topic: string,
    end = false,
    others: readonly BrokerLog[] = [],
  ): Promise<number> => {
    const [id] = await log.append([newEvent(topic, "x", { end })]);
    await Promise.all([log, ...others].map((each) => shown(each, id!)));
    return numberOf(id!);
  };
  /** Evicts everything, at last. */
  const fill = async (log: BrokerLog, others?: readonly BrokerLog[]): Promise<void> => {
    for (let at = 0; at < 6; at++) await append(log, "other", false, others);
    await log.checked();
  };
  /** What is saved; null without a stream for it. */
  const saved = async (prefix: string): Promise<Saved | null> =>
    manage(async ({ streams }) => {
      const info = await streams.info(`${prefix}_ends`).catch(() => null);
      if (info === null || info.state.messages === 0) return null;
      const newest = { last_by_subj: `${prefix}_ends.>` };
      return (await streams.getMessage(`${prefix}_ends`, newest))?.json<Saved>() ?? null;
    });
  const isSaved = async (log: BrokerLog, prefix: string): Promise<boolean> => {
    const { epoch, last } = log.bounds();
    const newest = await saved(prefix);
    return newest?.epoch === epoch && newest.upTo >= last;
  };

  test("are known to a node that was started after the events were evicted", async () => {
    let log = await open("restart");
    const ends = [];
    for (const topic of ["a", "b", "c"]) ends.push(await append(log, topic, true));
    await append(log, "b");
    await fill(log);
    await until(() => isSaved(log, "restart"));
    for (let round = 0; round < 2; round++) {
      await log.close();
      log = await open("restart");
      expect(await endsOf(log, "a", "b", "c", "never")).toEqual([ends[0]!, 0, ends[2]!, 0]);
      // One that had everything of it, and comes back.
      const lastEventId = formatEventId(log.bounds().epoch, ends[0]!);
      const selectors = new SelectorSet(["a"]);
      const resumed = await log.position({ selectors, lastEventId, replay: 0, counted: true });
      expect(resumed.ends).toEqual([ends[0]!]);
      await fill(log);
    }
    await append(log, "a");
    await fill(log);
    expect(await endsOf(log, "a", "c")).toEqual([0, ends[2]!]);
    await until(() => isSaved(log, "restart"));
    await log.close();
    log = await open("restart");
    expect(await endsOf(log, "a", "c")).toEqual([0, ends[2]!]);
    await log.close();
  });

  test("are known of many topics though memory holds next to nothing", async () => {
    const options = { window: { maxEvents: 2 }, maxEvents: null };
    let log = await open("many", options);
    const topics = Array.from({ length: 120 }, (_, at) => `t/${at}`);
    for (const topic of topics) void log.append([newEvent(topic, "x")]);
    const ids = await Promise.all(topics.map((topic) => log.append([newEvent(topic, "", { end: true })])));
    const ends = ids.map(([id]) => numberOf(id!));
    await append(log, "other");
    expect(await endsOf(log, ...topics)).toEqual(ends);
    await until(() => isSaved(log, "many"));
    await log.close();
    log = await open("many", options);
    expect(await endsOf(log, ...topics)).toEqual(ends);
    await manage(({ streams }) => streams.purge("many"));
    await fill(log);
    expect(await endsOf(log, ...topics)).toEqual(ends);
    await log.close();
  });

  test("are saved by one of the nodes, and by another one when that is gone", async () => {
    const nodes = await Promise.all([open("nodes"), open("nodes"), open("nodes")]);
    const end = await append(nodes[0], "a", true, nodes);
    for (const [at, node] of nodes.entries()) {
      await fill(node, nodes.slice(at));
      await until(() => isSaved(node, "nodes"));
      await node.close();
    }
    const log = await open("nodes");
    expect(await endsOf(log, "a")).toEqual([end]);
    await until(async () => {
      const { state } = await manage(({ streams }) => streams.info("nodes_ends"));
      return state.consumer_count === 0; // those that start leave none behind
    });
    await log.close();
  });

  test("leave no stream behind in a log of topics that do not end", async () => {
    const log = await open("endless");
    await fill(log);
    await log.checked();
    expect(await saved("endless")).toBeNull();
    await log.close();
  });

  test("are replayed from what came after they were saved", async () => {
    let log = await open("replay", { maxEvents: null });
    const first = await append(log, "a", true);
    await until(() => isSaved(log, "replay"));
    await log.close();
    log = await open("replay", { maxEvents: null, checkEvery: 3_600_000 }); // saves nothing more
    const second = await append(log, "b", true);
    await append(log, "a");
    await log.close();
    // More than a node reads for its streams when it starts.
    await manage(async ({ streams }, connection) => {
      const row = JSON.stringify([["busy", "", "", "", "x", 0]]);
      for (let at = 0; at < RECENT; at++) connection.publish("replay.t.busy.-.-", row);
      await connection.flush();
      await until(async () => (await streams.info("replay")).state.messages > RECENT);
    });
    log = await open("replay", { maxEvents: null, window: { maxEvents: 1 } });
    expect(await endsOf(log, "a", "b")).toEqual([0, second]);
    await manage(({ streams }) => streams.purge("replay"));
    await append(log, "other");
    expect(first).toBeGreaterThan(0);
    expect(await endsOf(log, "a", "b")).toEqual([0, second]);
    await log.close();
  });

  test("are forgotten where the log has evicted what came after they were saved", async () => {
    let log = await open("hole");
    await append(log, "a", true);
    await until(() => isSaved(log, "hole"));
    await log.close();
    log = await open("hole", { checkEvery: 3_600_000 });
    await append(log, "a");
    for (let at = 0; at < 6; at++) await append(log, "other");
    await log.close();
    log = await open("hole");
    expect(await endsOf(log, "a")).toEqual([0]);
    await append(log, "b", true); // what is saved from here on does not bring it back
    await fill(log);
    await until(() => isSaved(log, "hole"));
    await log.close();
    log = await open("hole");
    expect((await endsOf(log, "a", "b")).map((end) => end > 0)).toEqual([false, true]);
    await log.close();
  });

  test("are those of the epoch, and of a log that has not lost its end", async () => {
    await manage((manager) => makeStream(manager, "epochs"));
    let log = await open("epochs", { maxEvents: null });
    await append(log, "other");
    await append(log, "a", true);
    await fill(log);
    await until(() => isSaved(log, "epochs"));
    const { epoch } = log.bounds();
    await manage(({ streams }) => streams.delete("epochs"));
    await until(() => log.bounds().epoch !== epoch && log.fault === null);
    await log.close();
    log = await open("epochs");
    await append(log, "b", true);
    await until(() => isSaved(log, "epochs"));
    for (let round = 0; round < 2; round++) await fill(log); // beyond the numbers of before
    await until(() => isSaved(log, "epochs"));
    await log.close();
    log = await open("epochs");
    expect((await endsOf(log, "a", "b")).map((end) => end > 0)).toEqual([false, true]);
    await log.close();
    // An older copy of the stream, whose numbers come again.
    const { epoch: restored } = log.bounds();
    await manage(async (manager) => {
      const { description } = (await manager.streams.info("epochs")).config;
      await manager.streams.delete("epochs");
      await makeStream(manager, "epochs", description);
    });
    log = await open("epochs");
    expect(log.bounds().epoch).toBe(restored);
    expect(await saved("epochs")).toBeNull();
    await append(log, "b");
    expect(await endsOf(log, "a", "b")).toEqual([0, 0]);
    await log.close();
  });

  test("are saved again when their stream is gone, or holds what is not ours", async () => {
    let log = await open("again");
    await append(log, "a", true);
    await until(() => isSaved(log, "again"));
    await manage(({ streams }) => streams.delete("again_ends"));
    const end = await append(log, "b", true);
    await until(() => isSaved(log, "again"));
    await manage(async (_, connection) => {
      for (const payload of ["", "x", "null", '{"rows":[]}', '{"epoch":"x","rows":[1]}'])
        connection.publish("again_ends.1", payload);
      await connection.flush();
    });
    await fill(log);
    await until(() => isSaved(log, "again"));
    await log.close();
    log = await open("again");
    expect(await endsOf(log, "b")).toEqual([end]);
    await log.close();
  });

  test("are known while a node is up that may not save them, which is told once", async () => {
    const file = join(broker.folder, "permissions.conf");
    const denied = [
      "$JS.API.*.*.denied_ends",
      "$JS.API.*.*.*.denied_ends",
      "$JS.API.DIRECT.GET.denied_ends.>",
      "denied_ends.>",
    ];
    const permissions = `{ publish: { deny: ${JSON.stringify(denied)} } }`;
    await writeFile(file, `authorization { users: [{ user: u, password: p, permissions: ${permissions} }] }`);
    own = await BrokerProcess.start("nats", "-c", file);
    const warnings: string[] = [];
    const options = {
      url: own.url.replace("//", "//u:p@"),
      onWarning: (warning: string) => warnings.push(warning),
    };
    let log = await open("denied", options);
    const end = await append(log, "a", true);
    await fill(log);
    expect(await endsOf(log, "a")).toEqual([end]);
    await until(() => warnings.length > 0);
    await fill(log);
    expect(log.fault).toBeNull();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("denied_ends cannot be used");
    await log.close();
    log = await open("denied", options);
    expect(await endsOf(log, "a")).toEqual([0]);
    expect(await append(log, "a", true)).toBeGreaterThan(end + SLOTS);
    await log.close();
  });
});

test("a server that failed is asked again after a second, then ever more seldom", async () => {
  const clock = new ManualClock();
  const table = new EndedTopics("epoch", 0);
  table.take([{ seq: 1, mark: "", time: 1, event: newEvent("a", "x", { end: true }) }]);
  let [asked, fails] = [0, true];
  const info = async () => {
    asked++;
    if (fails) throw new Error("timeout");
    return { state: { messages: 0 } };
  };
  const checkpoint = new Checkpoint({
    prefix: "p",
    clock,
    ends: { table },
    connection: { isClosed: () => false },
    manager: { streams: { info } },
    jetstream: { publish: async () => ({}) },
    warn: () => {},
  } as unknown as NatsClient);
  const seconds: number[] = [];
  for (let second = 0; second < 200; second++) {
    const before = asked;
    await checkpoint.save();
    if (asked > before) seconds.push(second);
    await clock.advance(1000);
  }
  expect(seconds).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183]);
  fails = false;
  await clock.advance(60_000);
  await checkpoint.save();
  expect(table.savedUpTo).toBe(1);
  [asked, fails] = [0, true];
  for (let round = 0; round < 2; round++) {
    table.advance(table.upTo + 1);
    await checkpoint.save();
    await clock.advance(1000);
  }
  expect(asked).toBe(2);
});
