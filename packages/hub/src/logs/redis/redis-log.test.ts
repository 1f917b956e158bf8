import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { brokerLogTests } from "../../../test/broker-log-tests.ts";
import { newEvent } from "../../../test/log-contract.ts";
import { SelectorSet } from "../../topic.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { openRedisLog } from "./redis-log.ts";

const reason = missing("redis");

describe.skipIf(reason !== "")(`Redis${reason}`, () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start("redis");
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  test("tells no gap to a topic that lost nothing, however much the others lost", async () => {
    const options = { url: broker.url, prefix: "rare", maxEvents: 10 };
    const log = await openRedisLog({ ...options, window: { maxEvents: 1 } });
    const limits = { bytes: Infinity, upTo: Infinity };
    await log.append([newEvent("rare", "1"), newEvent("rare", "2")]);
    for (let at = 0; at < 100; at++) await log.append([newEvent("busy", `${at}`)]);
    await log.reach(102);
    const from = async (after: number, ...selectors: string[]) =>
      (await log.read(after, new SelectorSet(selectors), limits)).from;
    expect(await from(2, "rare")).toBe(2);
    expect(await from(1, "rare")).toBe(2);
    expect(await from(2, "rare", "busy")).toBe(92);
    expect(await from(2, "*")).toBe(92);
    expect(await from(0, "never")).toBe(0);
    await log.close();
  });

  test("says why Redis does not take events, keeps nothing of them, and goes on when it does", async () => {
    const log = await openRedisLog({ url: broker.url, prefix: "full", checkEvery: 20 });
    const redis = new Bun.RedisClient(broker.url);
    await redis.send("CONFIG", ["SET", "maxmemory", "1"]);
    expect(log.append([newEvent("t", "1")])).rejects.toMatchObject({
      code: "log-failed",
      message: expect.stringMatching(/OOM .*; nothing was published/) as unknown,
    });
    await Bun.sleep(5);
    expect(log.fault).toContain("OOM");
    await redis.send("CONFIG", ["SET", "maxmemory", "0"]);
    redis.close();
    await log.append([newEvent("t", "2")]);
    await log.reach(1);
    while (log.fault !== null) await Bun.sleep(1);
    expect((await log.survey(0, new SelectorSet(["t"]))).events).toBe(1);
    await log.close();
  });

  test("begins another life when keys of the log are gone, and leaves nothing of the old one", async () => {
    const log = await openRedisLog({ url: broker.url, prefix: "ruined", checkEvery: 5 });
    await log.append([newEvent("t", "1"), newEvent("t", "2")]);
    const { epoch } = log.bounds();
    const redis = new Bun.RedisClient(broker.url);
    await redis.del(`{ruined}:${epoch}:log`);
    while (log.bounds().epoch === epoch) await Bun.sleep(1);
    expect(await redis.keys("{ruined}*")).toEqual(["{ruined}"]);
    await log.append([newEvent("t", "3")]);
    redis.close();
    await log.close();
  });

  brokerLogTests("Redis", (options) => openRedisLog({ url: broker.url, ...options }), false);
});
