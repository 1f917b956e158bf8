import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { shown } from "../../../test/broker-log-tests.ts";
import type { Redis } from "ioredis";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { insist } from "../../../test/insist.ts";
import { adminOf } from "../../../test/redis-groups.ts";
import { until } from "../../../test/until.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { SelectorSet } from "../../topics/topic.ts";
import type { BrokerLog } from "../broker/broker-log.ts";
import { type EventId, formatEventId, parseEventId } from "../event-id.ts";
import { openRedisLog, type RedisLogOptions } from "./redis-log.ts";
import { APPEND } from "./scripts.ts";

/* What others do to the keys of a log, and what Redis loses. */

/** A test that times out takes the broker with it. */
const reason = missing("redis");
const all = new SelectorSet(["**"]);
const t = new SelectorSet(["t"]);

describe.skipIf(reason !== "")(`Redis${reason}`, () => {
  let broker: BrokerProcess;
  let redis: Redis;
  const logs: BrokerLog[] = [];
  beforeAll(async () => {
    broker = await BrokerProcess.start("redis");
    redis = adminOf(broker);
  });
  afterAll(async () => {
    for (const log of logs) await log.close();
    redis.disconnect();
    await broker[Symbol.asyncDispose]();
  });

  const open = async (prefix: string, options: Partial<RedisLogOptions> = {}): Promise<BrokerLog> => {
    const log = await openRedisLog({ url: broker.url, prefix, checkEvery: 5, ...options });
    logs.push(log);
    return log;
  };
  const publish = async (log: BrokerLog, ...data: string[]): Promise<number> => {
    const ids = await log.append(data.map((each) => newEvent("t", each)));
    await shown(log, ids.at(-1)!);
    return parseEventId(ids.at(-1)!)!.cursor;
  };
  const endsOf = async (log: BrokerLog, topics: readonly string[]) => {
    const selectors = new SelectorSet(topics);
    return (await log.position({ selectors, lastEventId: "", replay: 0, counted: false })).ends;
  };

  test("a client with an id from ahead does not bring a wiped Redis back under the old epoch", async () => {
    const node = await open("ahead", { checkEvery: 1000 });
    await publish(node, "1", "2", "3", "4", "5");
    const { epoch } = node.bounds();
    await redis.del(...(await redis.keys("{ahead}*")));
    const lastEventId = formatEventId(epoch, 9);
    const position = Promise.resolve(node.position({ selectors: t, lastEventId, replay: 0, counted: true }));
    const other = await open("ahead");
    expect(other.bounds().epoch).not.toBe(epoch);
    await publish(other, "new 1", "new 2", "new 3", "new 4", "new 5", "new 6");
    expect(await position).toMatchObject({ epoch: other.bounds().epoch, resume: "reset", gap: "epoch" });
    const old = await other.position({
      selectors: t,
      lastEventId: formatEventId(epoch, 5),
      replay: 0,
      counted: true,
    });
    expect(old).toMatchObject({ cursor: 0, replayed: 6, gap: "epoch" });
  });

  test("a node's appends keep their order while others flush and load scripts", async () => {
    const log = await open("flushed");
    const flushes = { areOver: false };
    const flushing = (async () => {
      const other = adminOf(broker);
      while (!flushes.areOver) {
        await other.call("SCRIPT", ["FLUSH"]);
        await other.call("SCRIPT", ["LOAD", APPEND.text]);
      }
      other.disconnect();
    })();
    const appends: Promise<readonly string[]>[] = [];
    for (let at = 0; at < 5000; at++) {
      appends.push(log.append([newEvent("t", `${at}`)]));
      await (at % 20 === 19 ? appends.at(-1) : new Promise((resolve) => setImmediate(resolve)));
    }
    const numbers = (await Promise.all(appends)).map(([id]) => parseEventId(id!)!.cursor);
    flushes.areOver = true;
    await flushing;
    expect(numbers).toEqual(Array.from(numbers, (_, at) => at + 1));
  });

  test("connections are lost again and again: what is acknowledged is there once and in order, and none is left over", async () => {
    const log = await open("cut", { redis: { connectionName: "cut" } });
    const count = async () => String(await redis.call("CLIENT", ["LIST"])).split(" name=cut ").length - 1;
    expect(await count()).toBe(2);
    const ids = new Set<EventId>();
    for (let at = 0; at < 100; at++) {
      if (at % 5 === 0) await redis.call("CLIENT", ["KILL", "TYPE", "normal", "SKIPME", "yes"]);
      const event = newEvent("t", `${at}`, { idempotencyKey: `${at}` });
      for (const id of await insist(() => log.append([event]))) ids.add(id);
    }
    await shown(log, [...ids].at(-1)!);
    const { entries } = await log.read(0, all, { bytes: Infinity, upTo: Infinity });
    expect(entries.map(({ idempotencyKey }) => idempotencyKey)).toEqual(Array.from(ids, (_, at) => `${at}`));
    expect(ids.size).toBe(100);
    expect(log.connection.reconnects).toBeGreaterThan(1);
    await until(async () => (await count()) === 2);
    await log.close();
    await until(async () => (await count()) === 0);
  });

  test("a user that may not ask what Redis is, with timeouts of the user's own", async () => {
    await redis.call("ACL", ["SETUSER", "app", "on", ">secret", "~{acl}*", "+@all", "-info", "-client"]);
    const login = { username: "app", password: "secret", commandTimeout: 50, socketTimeout: 50 };
    const log = await open("acl", { redis: login, checkEvery: 1000 });
    await publish(log, "1");
    await log.checked();
    expect(log.connection.reconnects).toBe(0);
  });

  describe.each(["log", "index", "newest", "ids", "lost", "ended", "ends"])("when the key %s", (name) => {
    /** A log all of whose keys hold something, and most of whose events are not in memory. */
    const fill = async (prefix: string) => {
      const warnings: string[] = [];
      const log = await open(prefix, {
        maxEvents: 20,
        window: { maxEvents: 2 },
        onWarning: (message) => warnings.push(message),
      });
      await log.append([newEvent("ended", "", { end: true })]);
      const events = Array.from({ length: 30 }, (_, at) =>
        newEvent("t", `${at}`, { idempotencyKey: `p${at}`, key: `${at % 3}` }),
      );
      await shown(log, (await log.append(events)).at(-1)!);
      await log.checked();
      const { epoch } = log.bounds();
      return { log, epoch, warnings, key: `{${prefix}}:${epoch}:${name}` };
    };

    const beginsAnew = async (
      prefix: string,
      { log, epoch, warnings }: { log: BrokerLog; epoch: string; warnings: string[] },
    ) => {
      // Nothing is answered from what is left: it waits until the log has begun anew.
      const page = await log.read(5, all, { bytes: Infinity, upTo: 31 });
      expect(page).toMatchObject({ from: 5, entries: [], cursor: 5 });
      expect(log.bounds().epoch).not.toBe(epoch);
      expect(log.bounds()).toMatchObject({ first: 1, last: 0, inherited: 0 });
      expect(await redis.keys(`{${prefix}}*`)).toEqual([`{${prefix}}`]);
      expect(warnings).toEqual([expect.stringContaining("changed by another client")]);
      expect(await publish(log, "new")).toBe(1);
    };

    test("is lost, the log begins anew, and nothing of the old one is left", async () => {
      const filled = await fill(`lost-${name}`);
      expect(await redis.del(filled.key)).toBe(1);
      await beginsAnew(`lost-${name}`, filled);
    });

    test("is lost, nothing is appended to what is left", async () => {
      const { log, key } = await fill(`refused-${name}`);
      await redis.del(key);
      // It may have begun anew already.
      const answer = await log.append([newEvent("t", "1")]).then(
        ([id]) => parseEventId(id!)!.cursor,
        (error: Error) => error.message,
      );
      if (answer !== 1) expect(answer).toMatch(/another epoch|out of reach.*nothing was published/);
    });

    test("is something else, the log begins anew", async () => {
      const filled = await fill(`other-${name}`);
      await redis.set(filled.key, "of somebody else");
      await beginsAnew(`other-${name}`, filled);
    });
  });

  test.each(["1-1", "*"])("somebody adds %s to the stream: the log begins anew", async (id) => {
    const prefix = `foreign ${id}`;
    const faults: (string | null)[] = [];
    const log = await open(prefix, { checkEvery: 60_000, onFault: (fault) => faults.push(fault) });
    await publish(log, "1");
    const { epoch } = log.bounds();
    await redis.call("XADD", [`{${prefix}}:${epoch}:log`, id, "hello", "world"]);
    await until(() => log.bounds().epoch !== epoch);
    await until(() => log.fault === null);
    expect(faults).toEqual([expect.stringContaining("another client has added"), null]);
    expect(await publish(log, "2")).toBe(1);
  });

  test("refuses a prefix that is the name of something else, and goes on when that is gone again", async () => {
    for (const [command, ...args] of [
      ["SET", "{taken}", "x"],
      ["HSET", "{taken}", "a", "b"],
    ]) {
      await redis.call(command!, args);
      const refused = await open("taken").catch((error: Error) => error.message);
      expect(refused).toContain("choose another prefix");
      await redis.del("{taken}");
    }
    const log = await open("taken");
    await publish(log, "1");
    await redis.set("{taken}", "x");
    await until(() => log.fault?.includes("choose another prefix") === true);
    await redis.del("{taken}");
    await until(() => log.fault === null);
    expect(await publish(log, "2")).toBe(1);
  });

  test("remembers what it has evicted for so many topics, and ends for so long", async () => {
    const log = await open("ends", { maxEvents: 10, window: { maxEvents: 1 } });
    const ended = (topic: string) => newEvent(topic, "", { end: true });
    const topics = Array.from({ length: 16_384 + 20 }, (_, at) => `topic/${at}`);
    for (let at = 0; at < topics.length; at += 1000)
      await log.append(topics.slice(at, at + 1000).map((topic) => ended(topic)));
    // They are evicted a thousand at a time.
    const { epoch } = log.bounds();
    await until(() => log.bounds().events === 10);
    // Those that came together are as old as each other.
    expect((await endsOf(log, topics.slice(0, 1000))).filter((end) => end === 0)).toHaveLength(10);
    expect(await endsOf(log, topics.slice(1000, 1003))).toEqual([1001, 1002, 1003]);
    // Of which topics it has evicted something it knows as long: of older ones it tells a gap in any case.
    const first = { selectors: new SelectorSet([topics[0]!]), replay: 0, counted: false };
    const resumed = await log.position({ ...first, lastEventId: formatEventId(epoch, 0) });
    expect(resumed).toMatchObject({ resume: "reset", gap: "evicted" });
    await redis.call("ZADD", [`{ends}:${epoch}:ends`, "1", "topic/1000"]);
    await log.checked();
    expect(await endsOf(log, topics.slice(1000, 1003))).toEqual([0, 1002, 1003]);
    expect(log.bounds().epoch).toBe(epoch);
  });
});
