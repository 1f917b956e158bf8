import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { missing, type BrokerProcess } from "../../../test/broker-process.ts";
import { connect, control, dataOf } from "../../../test/client.ts";
import { insist } from "../../../test/insist.ts";
import { ask, SentinelGroup } from "../../../test/redis-groups.ts";
import { inDeno, noDeno } from "../../../test/runtimes.ts";
import { until } from "../../../test/until.ts";
import { createHub, type Hub } from "../../hub.ts";
import { newEvent } from "../../testing/log-contract.ts";
import type { BrokerLog } from "../broker/broker-log.ts";
import { openRedisLog, type RedisLogOptions } from "./redis-log.ts";

/* Real processes: a primary, two replicas, three sentinels. Each test goes on with what the one before has left. */

const reason = missing("redis");
const { password, sentinelPassword } = SentinelGroup;

describe.skipIf(reason !== "")(`Redis behind Sentinel${reason}`, () => {
  let group: SentinelGroup;
  const logs: BrokerLog[] = [];
  const hubs: Hub[] = [];
  beforeAll(async () => {
    group = await SentinelGroup.start();
  });
  afterAll(() => group[Symbol.asyncDispose]());
  afterEach(async () => {
    for (const hub of hubs.splice(0)) await hub.close({ within: 0 });
    for (const log of logs.splice(0)) await log.close();
  });

  const open = async (prefix: string, options: RedisLogOptions = {}): Promise<BrokerLog> => {
    const sentinels = group.sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
    const redis = { password, sentinelPassword };
    const log = await openRedisLog({ sentinels, name: "primary", redis, prefix, checkEvery: 50, ...options });
    logs.push(log);
    return log;
  };
  const openHub = (log: BrokerLog): Hub => {
    const hub = createHub({ log });
    hubs.push(hub);
    return hub;
  };
  /** They neither have what is written from now on, nor find it in their sockets when they go on. */
  const cutOff = async (primary: BrokerProcess, replicas: readonly BrokerProcess[]): Promise<void> => {
    for (const replica of replicas) await replica.stop();
    await ask(primary, password, "CLIENT", "KILL", "TYPE", "replica");
  };
  const living: BrokerProcess[] = [];

  test("opens by a url, with another login for the sentinels, the first of which hangs", async () => {
    const hosts = group.sentinels.map(({ port }) => `127.0.0.1:${port}`).join();
    group.sentinels[0]!.process.kill("SIGSTOP");
    try {
      const url = `redis+sentinel://:${encodeURIComponent(password)}@${hosts}/primary`;
      const log = await openRedisLog({ url, prefix: "url", redis: { sentinelPassword } });
      expect(await log.append([newEvent("t", "1")])).toHaveLength(1);
      await log.close();
    } finally {
      group.sentinels[0]!.process.kill("SIGCONT");
    }
  });

  test.skipIf(noDeno !== "")(`runs in Deno${noDeno}`, async () => {
    const sentinels = group.sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
    const options = { sentinels, name: "primary", redis: { password, sentinelPassword } };
    const out = await inDeno("redis-program.ts", JSON.stringify({ prefix: "deno", ...options }));
    const all = Array.from({ length: 20 }, (_, at) => `${at}`);
    expect(JSON.parse(out)).toEqual([all, all]);
  });

  test.each([
    ["name", { name: "nobody" }, /No such master/],
    ["password of the sentinels", { redis: { password, sentinelPassword: "wrong secret" } }, /WRONGPASS/],
    ["password", { redis: { password: "wrong secret", sentinelPassword } }, /WRONGPASS/],
  ])("tells of a wrong %s, without a password", async (_, options: RedisLogOptions, words) => {
    const refused = await open("wrong", options).catch((error: Error) => error.message);
    expect(refused).toMatch(words);
    expect(refused).not.toContain("secret");
  });

  test("acknowledges when so many replicas have it, and holds up no stream meanwhile", async () => {
    const primary = await group.primary();
    const replicas = group.servers.filter((server) => server !== primary);
    const log = await open("wait", { waitReplicas: 2, waitTimeout: 300, window: { maxEvents: 1 } });
    const hub = openHub(log);
    const first = await hub.publish("t", { data: "1" });
    await hub.publish("t", { data: "2" });
    await cutOff(primary, replicas);
    try {
      for (let times = 0; times < 2; times++) {
        const refusal = hub.publish("t", { data: "3", id: "three" });
        // What is not in memory is asked for on another connection.
        const { sink } = connect(hub, { lastEventId: first });
        await until(() => dataOf(sink).includes("2"));
        expect(await refusal.catch((error: Error) => error.message)).toMatch(
          /of 2 replicas have it after 300 ms\): it may have been published; publish again with the same id/,
        );
      }
    } finally {
      for (const replica of replicas) replica.goOn();
    }
    const id = await insist(() => hub.publish("t", { data: "3", id: "three" }));
    const { sink } = connect(hub, { replay: "all" });
    await until(() => dataOf(sink).length === 3);
    expect(sink.text).toContain(`id: ${id}\n`);
  });

  test("the primary is killed: what a replica had comes, once, in order and without a gap", async () => {
    const log = await open("kept", { waitReplicas: 1 });
    const hub = openHub(log);
    const { sink } = connect(hub);
    const { epoch } = log.bounds();
    const primary = await group.primary();
    let killed = Promise.resolve();
    for (let at = 0; at < 60; at++) {
      await insist(() => hub.publish("t", { data: `${at}`, id: `${at}` }));
      if (at === 20) killed = primary.kill();
    }
    await killed;
    await until(() => dataOf(sink).length >= 60);
    expect(dataOf(sink)).toEqual(Array.from({ length: 60 }, (_, at) => `${at}`));
    expect(control(sink, "sse:gap")).toEqual([]);
    expect(log.bounds().epoch).toBe(epoch);
    living.push(...group.servers.filter((server) => server !== primary));
  });

  test("the primary is killed: what only it had is lost, and streams are told a gap", async () => {
    const log = await open("lost");
    const hub = openHub(log);
    const { sink } = connect(hub);
    await hub.publish("t", { data: "kept" });
    const { epoch } = log.bounds();
    const primary = await group.primary();
    const replica = living.find((server) => server !== primary)!;
    await until(async () => (await ask(primary, password, "WAIT", "1", "1000")) === 1);
    await cutOff(primary, [replica]);
    for (const data of ["lost 1", "lost 2"]) await hub.publish("t", { data });
    await until(() => dataOf(sink).length === 3);
    await primary.kill();
    replica.goOn();
    await insist(() => hub.publish("t", { data: "new" }));
    await until(() => dataOf(sink).includes("new"));
    expect(dataOf(sink)).toEqual(["kept", "lost 1", "lost 2", "new"]);
    expect(control(sink, "sse:gap")).toMatchObject([{ reason: "epoch", from: `${epoch}-3` }]);
    expect(log.bounds()).toMatchObject({ inherited: 1, last: 2 });
  });
});
