import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connect, control, dataOf } from "../../../test/client.ts";
import { FakeBroker, numberOf } from "../../../test/fake-broker.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { createHub, type Hub } from "../../hub.ts";
import { type BrokerLog, openBrokerLog } from "./broker-log.ts";

const LIMITS = { maxEvents: Infinity, maxBytes: Infinity, maxAge: Infinity };

async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 2000) throw new Error(`it did not come true: ${String(condition)}`);
    await Bun.sleep(1);
  }
}

describe("BrokerLog", () => {
  let broker: FakeBroker;
  let log: BrokerLog;
  let hub: Hub;
  const faults: (string | null)[] = [];
  beforeEach(async () => {
    broker = new FakeBroker();
    faults.length = 0;
    log = await openBrokerLog(broker, LIMITS, { checkEvery: 5, onFault: (fault) => faults.push(fault) });
    hub = createHub({ log });
  });
  afterEach(() => hub.close());

  const event = (data: string) => newEvent("t", data);

  test("shows what others append, once and in order", async () => {
    const { sink } = connect(hub);
    broker.put(event("1"), event("2"));
    await hub.publish("t", { data: "3" });
    await until(() => dataOf(sink).length === 3);
    expect(dataOf(sink)).toEqual(["1", "2", "3"]);
  });

  test("tells live streams of what was evicted before it came, and goes on", async () => {
    const { sink } = connect(hub);
    broker.put(event("1"));
    await until(() => dataOf(sink).length === 1);
    broker.isDown = true;
    await until(() => log.fault !== null);
    broker.put(event("2"), event("3"), event("4"));
    broker.evict(3);
    broker.isDown = false;
    await until(() => dataOf(sink).length === 2);
    broker.put(event("5"));
    await until(() => dataOf(sink).length === 3);
    expect(dataOf(sink)).toEqual(["1", "4", "5"]);
    const { epoch } = log.bounds();
    expect(control(sink, "sse:gap")).toEqual([{ reason: "evicted", from: `${epoch}-1`, to: `${epoch}-3` }]);
    expect(faults).toEqual([expect.stringContaining("down"), null]);
  });

  test.each([
    ["has not come again", 0],
    ["has come again with another event", 2],
  ])("begins another life when the end of the log is lost, and its number %s", async (_, more) => {
    const { sink } = connect(hub);
    broker.put(event("1"), event("2"), event("3"));
    await until(() => dataOf(sink).length === 3);
    const { epoch } = log.bounds();
    broker.lose(2);
    broker.put(...["other 2", "other 3", "other 4"].slice(0, more).map(event));
    await until(() => log.bounds().epoch !== epoch);
    broker.put(event("new"));
    await until(() => dataOf(sink).includes("new"));
    // What the new life inherits is not given again; that some of it never came is told as part of the gap.
    expect(dataOf(sink)).toEqual(["1", "2", "3", "new"]);
    const { inherited } = log.bounds();
    expect(inherited).toBe(1 + more);
    const to = `${log.bounds().epoch}-${inherited}`;
    expect(control(sink, "sse:gap")).toEqual([{ reason: "epoch", from: `${epoch}-3`, to }]);
    const late = connect(hub, { lastEventId: `${epoch}-2` });
    await until(() => dataOf(late.sink).length > 0);
    expect(dataOf(late.sink)).toEqual(["new"]);
  });

  test("follows another life that another node has begun", async () => {
    const { sink } = connect(hub);
    broker.epoch = "other00000";
    await until(() => log.bounds().epoch === "other00000");
    broker.put(event("1"));
    await until(() => dataOf(sink).length === 1);
    expect(control(sink, "sse:gap")).toMatchObject([{ reason: "epoch" }]);
  });

  test("does not go back to a life that it has left, when an old copy of it is put back", async () => {
    const { sink } = connect(hub);
    broker.put(event("1"), event("2"));
    await until(() => dataOf(sink).length === 2);
    const { epoch } = log.bounds();
    broker.epoch = "other00000";
    await until(() => log.bounds().epoch === "other00000");
    broker.epoch = epoch;
    await until(() => log.bounds().epoch !== "other00000");
    expect(log.bounds().epoch).not.toBe(epoch);
    expect(log.bounds()).toMatchObject({ epoch: broker.epoch, inherited: 2 });
    const late = connect(hub, { lastEventId: `${epoch}-2` });
    await until(() => control(late.sink, "sse:gap").length > 0);
    expect(control(late.sink, "sse:gap")).toMatchObject([{ reason: "epoch" }]);
  });

  test("knows how it stands with the broker", async () => {
    const connection = () => hub.stats().log.connection!;
    expect(connection()).toEqual({ up: true, reconnects: 0, behind: 0 });
    broker.isHeld = true;
    broker.put(event("1"));
    await until(() => connection().behind > 10);
    broker.isHeld = false;
    await until(() => connection().behind === 0);
    broker.isDown = true;
    await until(() => !connection().up);
    expect(connection()).toMatchObject({ up: false, reconnects: 0 });
    broker.put(event("2"));
    broker.evict(2); // what is gone is nothing to wait for
    broker.isDown = false;
    await until(() => connection().up);
    await log.checked();
    expect(connection()).toEqual({ up: true, reconnects: 1, behind: 0 });
    expect(createHub().stats().log.connection).toBeUndefined();
  });

  test("refuses appends at once while the broker is away", async () => {
    broker.isDown = true;
    await until(() => log.fault !== null);
    expect(log.append([event("1")])).rejects.toMatchObject({
      code: "log-failed",
      message: expect.stringMatching(
        /out of reach \(the fake broker: down\); nothing was published/,
      ) as unknown,
    });
  });

  test("tells once that the broker takes nothing, however it learns of it, and once that it takes all again", async () => {
    broker.refusal = "no room";
    await until(() => log.fault === "the fake broker: no room");
    broker.isAtLimit = true;
    for (let at = 0; at < 5; at++) {
      expect(log.append([event("1")])).rejects.toMatchObject({
        code: "log-failed",
        message: "the log does not take it (full); nothing was published",
      });
      await log.checked();
    }
    broker.refusal = null;
    broker.isAtLimit = false;
    await until(() => log.fault === null);
    expect(faults).toEqual(["the fake broker: no room", null]);
  });

  test.each([
    [["a", "b"], "publish again with the same id to be sure"],
    [["a", ""], "publish again, with the same id where there was one; what had none may be there twice then"],
    [[""], "publish again, with the same id where there was one; what had none may be there twice then"],
  ])(
    "says that it does not know when the answer to an append is lost, of the ids %j",
    async (ids, advice) => {
      broker.isMute = true;
      const events = ids.map((idempotencyKey) => newEvent("t", "1", { idempotencyKey }));
      expect(log.append(events)).rejects.toMatchObject({
        code: "log-failed",
        message: expect.stringMatching(new RegExp(`it may have been published; ${advice}$`)) as unknown,
      });
    },
  );

  test("says that the log failed when a read fails again and again, whatever the broker's words", async () => {
    await hub.close();
    broker.put(event("1"), event("2"));
    log = await openBrokerLog(broker, LIMITS, { checkEvery: 5, window: { maxEvents: 1 } });
    hub = createHub({ log });
    broker.unreadable = new Error("heartbeats missed");
    expect(hub.locate({ topics: ["t"], lastEventId: `${log.bounds().epoch}-0` })).rejects.toMatchObject({
      name: "HubError",
      code: "log-failed",
      message: expect.stringContaining("heartbeats missed") as unknown,
    });
    expect(log.fault).toBeNull();
  });

  test("waits for an event that is on its way, and for no event that nobody has", async () => {
    await log.reach(1);
    const [seq] = broker.put(event("1"));
    expect(log.bounds().last).toBe(0);
    await log.reach(seq!);
    expect(log.bounds().last).toBe(1);
  });

  test("resumes a stream from an id that only another node has seen yet", async () => {
    broker.put(event("1"), event("2"));
    const { sink } = connect(hub, { lastEventId: `${log.bounds().epoch}-1` });
    await until(() => dataOf(sink).length === 1);
    expect(control(sink, "sse:ready")).toEqual([{ resume: "resumed", replayed: 1 }]);
    expect(dataOf(sink)).toEqual(["2"]);
  });

  test("keeps a stream that reads what is not in memory, until the broker is back", async () => {
    await hub.close();
    broker.put(...Array.from({ length: 10 }, (_, at) => event(`${at}`)));
    log = await openBrokerLog(broker, LIMITS, { checkEvery: 5, window: { maxEvents: 1 } });
    hub = createHub({ log });
    const start = await hub.locate({ topics: ["t"], replay: "all" });
    broker.isDown = true;
    await until(() => log.fault !== null);
    const { sink, stream } = connect(hub, { ...start, topics: ["t"], start } as object);
    await Bun.sleep(20);
    expect([dataOf(sink), stream.state]).toEqual([[], "catching-up"]);
    broker.isDown = false;
    await until(() => dataOf(sink).length === 10);
  });

  test.each([
    [Infinity, [7]],
    [4, [3, 4]],
    [1, [1, 2, 4]],
  ])(
    "is given at most %p events of several publishers at once, and no array in parts",
    async (most, appends) => {
      broker.maxAppend = most;
      const messages = (count: number) => Array.from({ length: count }, () => ({ topic: "t", data: "x" }));
      const answers = await Promise.all([1, 2, 4].map((count) => hub.publishMany(messages(count))));
      expect(broker.appends).toEqual(appends);
      expect(answers.flat().map(numberOf)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    },
  );

  test("keeps what was appended before it was closed, and refuses the rest", async () => {
    const before = log.append([event("1")]);
    await log.close();
    expect(numberOf((await before)[0]!)).toBe(1);
    expect(log.append([event("2")])).rejects.toMatchObject({ code: "closed" });
  });
});
