import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { brokerLogTests, countAfter, settled, shown } from "../../../test/broker-log-tests.ts";
import { compareLogs } from "../../../test/compare-logs.ts";
import { adminOf } from "../../../test/redis-groups.ts";
import { until } from "../../../test/until.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { SelectorSet } from "../../topics/topic.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { openRedisLog } from "./redis-log.ts";

/** A test that times out takes the broker with it. */
const reason = missing("redis");

describe.skipIf(reason !== "")(`Redis${reason}`, () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start("redis");
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  test("tells no gap to a topic that lost nothing, however much the others lost", async () => {
    const options = { url: broker.url, prefix: "rare", maxEvents: 10, checkEvery: 5 };
    const log = await openRedisLog({ ...options, window: { maxEvents: 1 } });
    const limits = { bytes: Infinity, upTo: Infinity };
    await log.append([newEvent("rare", "1"), newEvent("rare", "2")]);
    for (let at = 0; at < 99; at++) await log.append([newEvent("busy", `${at}`)]);
    await shown(log, (await log.append([newEvent("busy", "99")]))[0]!);
    await log.checked(); // and evicted
    const from = async (after: number, ...selectors: string[]) =>
      (await log.read(after, new SelectorSet(selectors), limits)).from;
    expect(await from(2, "rare")).toBe(2);
    expect(await from(1, "rare")).toBe(2);
    expect(await from(2, "rare", "busy")).toBe(92);
    expect(await from(2, "*")).toBe(92);
    expect(await from(0, "never")).toBe(0);
    await log.close();
  });

  test("counts what patterns select, topic by topic, whatever the topics have", async () => {
    const log = await openRedisLog({ url: broker.url, prefix: "many", window: { maxEvents: 1 } });
    // One topic of many events, one of as many as are looked at together, many of one, and one that another begins with.
    const topics = Array.from({ length: 3000 }, (_, at) =>
      at < 1000
        ? "a/large"
        : at < 1064
          ? "a/64"
          : at < 2500
            ? `a/${at}`
            : at % 2 === 0
              ? "a/large/more"
              : "b/1",
    );
    await shown(log, (await log.append(topics.map((topic) => newEvent(topic, "x")))).at(-1)!);
    for (const [selector, pattern] of [
      ["a/*", /^a\/[^/]*$/],
      ["a/**", /^a\//],
      ["*/large", /^a\/large$/],
      ["*/*/more", /more$/],
      ["b/*", /^b/],
    ] as const) {
      for (const after of [0, 1, 500, 1063, 2000, 2998, 2999]) {
        const events = topics.filter((topic, at) => at >= after && pattern.test(topic)).length;
        expect(await countAfter(log, after, new SelectorSet([selector]))).toBe(events);
      }
    }
    await log.close();
  });

  test("says why Redis does not take events, is not ready until it does, and goes on by itself", async () => {
    const told: (string | null)[] = [];
    const log = await openRedisLog({
      url: broker.url,
      prefix: "full",
      checkEvery: 5,
      onFault: (fault) => told.push(fault),
    });
    const redis = adminOf(broker);
    await redis.call("CONFIG", ["SET", "maxmemory", "1"]);
    // Nobody has to publish for that.
    await until(() => log.fault !== null);
    for (let at = 0; at < 5; at++) {
      await expect(log.append([newEvent("t", "1")])).rejects.toMatchObject({
        code: "log-failed",
        message: expect.stringMatching(
          /at its maxmemory: raise it.*OOM .*; nothing was published$/,
        ) as unknown,
      });
      await log.checked();
      expect(log.fault).toContain("at its maxmemory");
    }
    await redis.call("CONFIG", ["SET", "maxmemory", "0"]);
    await until(() => log.fault === null);
    expect(told).toEqual([expect.stringContaining("at its maxmemory"), null]);
    await redis.call("CONFIG", ["SET", "min-replicas-to-write", "1"]);
    await until(() => log.fault !== null);
    expect(String(log.fault)).toContain("fewer replicas than min-replicas-to-write");
    await redis.call("CONFIG", ["SET", "min-replicas-to-write", "0"]);
    await until(() => log.fault === null);
    redis.disconnect();
    await shown(log, (await log.append([newEvent("t", "2")]))[0]!);
    expect(await countAfter(log, 0, new SelectorSet(["t"]))).toBe(1);
    await log.close();
  });

  test("warns of a Redis that may evict the log by itself", async () => {
    const redis = adminOf(broker);
    const warnings: string[] = [];
    for (const policy of ["volatile-lru", "allkeys-lru", "noeviction"]) {
      await redis.call("CONFIG", ["SET", "maxmemory-policy", policy]);
      const onWarning = (message: string) => warnings.push(message);
      await (await openRedisLog({ url: broker.url, prefix: "policy", onWarning })).close();
    }
    redis.disconnect();
    expect(warnings).toEqual([expect.stringContaining("maxmemory-policy is allkeys-lru")]);
  });

  test("begins another life when keys of the log are gone, and leaves nothing of the old one", async () => {
    const log = await openRedisLog({ url: broker.url, prefix: "ruined", checkEvery: 5 });
    await log.append([newEvent("t", "1"), newEvent("t", "2")]);
    const { epoch } = log.bounds();
    const redis = adminOf(broker);
    await redis.del(`{ruined}:${epoch}:log`);
    await until(() => log.bounds().epoch !== epoch);
    expect(await redis.keys("{ruined}*")).toEqual(["{ruined}"]);
    await log.append([newEvent("t", "3")]);
    redis.disconnect();
    await log.close();
  });

  test.each([1, 2, 3, Math.floor(Math.random() * 1e9)])(
    "answers as the memory log does, seed %i",
    async (seed) => {
      const open = async (maxEvents: number) =>
        settled(
          await openRedisLog({
            url: broker.url,
            prefix: `seed${seed}`,
            maxEvents,
            checkEvery: 3,
            window: { maxEvents: 7 },
          }),
          false,
        );
      await compareLogs({ open, reopen: open, seed, rounds: 300 });
    },
  );

  brokerLogTests("Redis", (options) => openRedisLog({ url: broker.url, ...options }), false);
});
