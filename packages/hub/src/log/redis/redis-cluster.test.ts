import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { Cluster } from "ioredis";
import { settled } from "../../../test/broker-log-tests.ts";
import { missing } from "../../../test/broker-process.ts";
import { connect, control, dataOf } from "../../../test/client.ts";
import { insist } from "../../../test/insist.ts";
import { ask, ClusterGroup } from "../../../test/redis-groups.ts";
import { inDeno, noDeno } from "../../../test/runtimes.ts";
import { until } from "../../../test/until.ts";
import { createHub, type Hub } from "../../hub.ts";
import { type ContractRetention, logContract } from "../../testing/log-contract.ts";
import type { BrokerLog } from "../broker/broker-log.ts";
import { openRedisLog, type RedisLogOptions } from "./redis-log.ts";
import { keysOf, metaKey } from "./scripts.ts";

/* Real processes: three primaries and a replica of each. */

const reason = missing("redis");

describe.skipIf(reason !== "")(`Redis Cluster${reason}`, () => {
  let group: ClusterGroup;
  const logs: BrokerLog[] = [];
  const hubs: Hub[] = [];
  beforeAll(async () => {
    group = await ClusterGroup.start();
  });
  afterAll(() => group[Symbol.asyncDispose]());
  afterEach(async () => {
    for (const hub of hubs.splice(0)) await hub.close({ within: 0 });
    for (const log of logs.splice(0)) await log.close();
  });

  const open = async (prefix: string, options: RedisLogOptions = {}): Promise<BrokerLog> => {
    const log = await openRedisLog({ url: group.url, prefix, checkEvery: 5, ...options });
    logs.push(log);
    return log;
  };
  const openHub = (log: BrokerLog): Hub => {
    const hub = createHub({ log });
    hubs.push(hub);
    return hub;
  };

  // Several logs, in slots of several nodes.
  let prefixes = 0;
  const reopen = async ({ maxEvents, maxBytes }: ContractRetention = {}) => {
    const options = {
      url: group.url,
      prefix: `contract${prefixes}`,
      checkEvery: 3,
      window: { maxEvents: 2 },
    };
    return settled(await openRedisLog({ ...options, maxEvents, maxBytes }), false);
  };
  logContract("Redis Cluster, with next to nothing in memory", {
    hasOwnClock: true,
    stride: 8,
    open: async (retention) => {
      prefixes++;
      return await reopen(retention);
    },
    reopen,
  });

  test("opens by some of the nodes, of which one is away, and by a client of the user's", async () => {
    const away = { host: "127.0.0.1", port: 1 };
    const one = await open("nodes", { url: undefined, cluster: [away, group.nodes[0]!] });
    const client = new Cluster(group.nodes, { lazyConnect: true, keyPrefix: "app:" });
    const other = await open("nodes", { url: undefined, client });
    expect(other.bounds().epoch).toBe(one.bounds().epoch);
    expect(client.status).toBe("wait");
  });

  test.skipIf(noDeno !== "")(`runs in Deno${noDeno}`, async () => {
    const options = { url: group.url };
    const out = await inDeno("redis-program.ts", JSON.stringify({ prefix: "deno", ...options }));
    const all = Array.from({ length: 20 }, (_, at) => `${at}`);
    expect(JSON.parse(out)).toEqual([all, all]);
  });

  test("the slot moves to another node, key by key: publishers may have to try again, and nothing is lost or told as a gap", async () => {
    const prefix = "moves";
    const log = await open(prefix);
    const hub = openHub(log);
    const { sink } = connect(hub);
    const { epoch } = log.bounds();
    const slot = await group.slotOf(metaKey(prefix));
    const from = await group.primaryOf(slot);
    const to = await group.primaryOf((slot + 8192) % 16_384);
    const [fromId, toId] = [await group.idOf(from), await group.idOf(to)];
    const move = { isOver: false };
    let at = 0;
    const publishing = (async () => {
      for (; !move.isOver || at < 40; at++)
        await insist(() => hub.publish("t", { data: `${at}`, id: `${at}` }));
    })();
    await until(() => dataOf(sink).length > 10);
    const setSlot = (server: typeof from, ...args: string[]) =>
      ask(server, undefined, "CLUSTER", "SETSLOT", String(slot), ...args);
    await setSlot(to, "IMPORTING", fromId);
    await setSlot(from, "MIGRATING", toId);
    // One at a time, as large keys are moved, and while the log is asked for everything.
    for (const key of [...keysOf(metaKey(prefix), epoch), metaKey(prefix)]) {
      await ask(from, undefined, "MIGRATE", "127.0.0.1", String(to.port), key, "0", "5000");
      await until(() => log.fault !== null);
    }
    for (const server of [to, from]) await setSlot(server, "NODE", toId);
    await until(() => log.fault === null);
    move.isOver = true;
    await publishing;
    await until(() => dataOf(sink).length >= at);
    expect(dataOf(sink)).toEqual(Array.from({ length: at }, (_, each) => `${each}`));
    expect(control(sink, "sse:gap")).toEqual([]);
    expect(log.bounds()).toMatchObject({ epoch, last: at });
    expect(await group.primaryOf(slot)).toBe(to);
    expect(await ask(to, undefined, "EXISTS", metaKey(prefix))).toBe(1);
  });

  test("the node with the slot hands over to its replica, and lives on as one: nothing is lost or told as a gap", async () => {
    const log = await open("handed");
    const hub = openHub(log);
    const { sink } = connect(hub);
    const { epoch } = log.bounds();
    const slot = await group.slotOf(metaKey("handed"));
    const primary = await group.primaryOf(slot);
    const replica = await group.replicaOf(primary);
    for (let at = 0; at < 60; at++) {
      await insist(() => hub.publish("t", { data: `${at}`, id: `${at}` }));
      if (at === 20) await ask(replica, undefined, "CLUSTER", "FAILOVER");
      if (at === 30) await until(async () => (await group.primaryOf(slot)) === replica);
    }
    await until(() => dataOf(sink).length >= 60);
    expect(dataOf(sink)).toEqual(Array.from({ length: 60 }, (_, each) => `${each}`));
    expect(control(sink, "sse:gap")).toEqual([]);
    expect(log.bounds().epoch).toBe(epoch);
    expect(log.connection.reconnects).toBeGreaterThan(0);
  });

  test("the node with the slot is killed: what its replica had comes, once, in order and without a gap", async () => {
    const log = await open("killed", { waitReplicas: 1 });
    const hub = openHub(log);
    const { sink } = connect(hub);
    const { epoch } = log.bounds();
    const primary = await group.primaryOf(await group.slotOf(metaKey("killed")));
    for (let at = 0; at < 20; at++) await insist(() => hub.publish("t", { data: `${at}`, id: `${at}` }));
    await primary.kill();
    const other = openHub(await insist(() => open("killed"))); // what takes over has no replica
    for (let at = 20; at < 40; at++) await insist(() => other.publish("t", { data: `${at}`, id: `${at}` }));
    await until(() => dataOf(sink).length >= 40);
    expect(dataOf(sink)).toEqual(Array.from({ length: 40 }, (_, each) => `${each}`));
    expect(control(sink, "sse:gap")).toEqual([]);
    expect(log.bounds().epoch).toBe(epoch);
  });
});
