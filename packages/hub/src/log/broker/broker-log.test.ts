import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connect, control, dataOf } from "../../../test/client.ts";
import { FakeBroker, numberOf } from "../../../test/fake-broker.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { createHub, type Hub } from "../../hub.ts";
import { RecordingSink } from "../../sinks/recording.ts";
import { SelectorSet } from "../../topics/topic.ts";
import { formatEventId } from "../event-id.ts";
import { type BrokerLog, type BrokerLogOptions, openBrokerLog } from "./broker-log.ts";

const LIMITS = { maxEvents: Infinity, maxBytes: Infinity, maxAge: Infinity };

describe("BrokerLog", () => {
  let clock: ManualClock;
  let broker: FakeBroker;
  let log: BrokerLog;
  let hub: Hub;
  const faults: (string | null)[] = [];
  const open = async (options: BrokerLogOptions = {}): Promise<void> => {
    const onFault = (fault: string | null) => faults.push(fault);
    const date = () => clock.now();
    log = await openBrokerLog(broker, LIMITS, { checkEvery: 5, onFault, clock, date, ...options });
    hub = createHub({ log, clock });
  };
  beforeEach(async () => {
    clock = new ManualClock();
    broker = new FakeBroker(clock, () => clock.now());
    faults.length = 0;
    await open();
  });
  afterEach(() => hub.close());

  const until = async (condition: () => boolean): Promise<void> => {
    for (let turns = 0; !condition(); turns++) {
      if (turns > 10_000) throw new Error(`it did not come true: ${String(condition)}`);
      await clock.advance(1);
    }
  };
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    void promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    await until(() => isSettled);
    return await promise;
  };

  const event = (data: string) => newEvent("t", data);

  test("shows what others append, once and in order", async () => {
    const { sink } = connect(hub);
    broker.put(event("1"), event("2"));
    await settled(hub.publish("t", { data: "3" }));
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
    ["has come again with another event, and more than was lost", 5],
  ])("begins another epoch when the end of the log is lost, and its number %s", async (_, more) => {
    const { sink } = connect(hub);
    broker.put(event("1"), event("2"), event("3"));
    await until(() => dataOf(sink).length === 3);
    const { epoch } = log.bounds();
    broker.lose(2);
    broker.put(...["other 2", "other 3", "other 4", "other 5", "other 6"].slice(0, more).map(event));
    await until(() => log.bounds().epoch !== epoch);
    broker.put(event("new"));
    await until(() => dataOf(sink).includes("new"));
    // What the new epoch inherits is not given again; that some of it never came is told as part of the gap.
    expect(dataOf(sink)).toEqual(["1", "2", "3", "new"]);
    const { inherited } = log.bounds();
    expect(inherited).toBe(1 + more);
    const to = `${log.bounds().epoch}-${inherited}`;
    expect(control(sink, "sse:gap")).toEqual([{ reason: "epoch", from: `${epoch}-3`, to }]);
    const late = connect(hub, { lastEventId: `${epoch}-2` });
    await until(() => dataOf(late.sink).length > 0);
    expect(dataOf(late.sink)).toEqual(["new"]);
  });

  test.each([0, 1, 3])(
    "begins another epoch when an event is lost that was acknowledged, and had not come back; then %d others came",
    async (more) => {
      const { sink } = connect(hub);
      broker.put(event("1"));
      await until(() => dataOf(sink).length === 1);
      const { epoch } = log.bounds();
      broker.isHeld = true;
      await settled(hub.publish("t", { data: "lost" }));
      broker.lose(1);
      broker.put(...["other 2", "other 3", "other 4"].slice(0, more).map(event));
      await until(() => log.bounds().epoch !== epoch);
      broker.isHeld = false;
      broker.put(event("new"));
      await until(() => dataOf(sink).includes("new"));
      expect(dataOf(sink)).toEqual(["1", "new"]);
      expect(control(sink, "sse:gap")).toMatchObject([{ reason: "epoch", from: `${epoch}-1` }]);
    },
  );

  test("begins another epoch when the log has lost its end, of which it has evicted everything", async () => {
    await hub.close();
    broker.put(event("1"), event("2"), event("3"));
    broker.evict(1);
    const restore = broker.copy();
    broker.put(event("4"));
    broker.evict(3);
    await open();
    await clock.advance(10);
    const { epoch } = log.bounds();
    restore();
    broker.put(event("other 4"), event("other 5"));
    await until(() => log.bounds().epoch !== epoch);
    expect(log.bounds()).toMatchObject({ inherited: 5 });
  });

  test("begins another epoch when what comes follows another end of the log, all of which is evicted", async () => {
    const { sink } = connect(hub);
    broker.put(event("1"), event("2"));
    await until(() => dataOf(sink).length === 2);
    const { epoch } = log.bounds();
    broker.isDown = true;
    await until(() => log.fault !== null);
    broker.lose(1);
    broker.put(event("other 2"));
    broker.evict(2); // the number is given again, and nobody can tell to what
    broker.put(event("3"));
    broker.isDown = false;
    await until(() => log.bounds().epoch !== epoch);
    broker.put(event("4"));
    await until(() => dataOf(sink).includes("4"));
    expect(dataOf(sink)).toEqual(["1", "2", "4"]);
    expect(control(sink, "sse:gap")).toMatchObject([{ reason: "epoch", from: `${epoch}-2` }]);
  });

  test("follows another epoch that another node has begun", async () => {
    const { sink } = connect(hub);
    await clock.settle();
    broker.epoch = "other00000";
    await until(() => log.bounds().epoch === "other00000");
    broker.put(event("1"));
    await until(() => dataOf(sink).length === 1);
    expect(control(sink, "sse:gap")).toMatchObject([{ reason: "epoch" }]);
  });

  test("sees the loss of an event that it shows and has never read", async () => {
    broker.recent = 0;
    broker.put(event("1"), event("2"));
    const stop = log.tail({
      append: () => {},
      reset: () => {
        broker.lose(1);
        broker.put(event("other 2"));
        stop();
      },
      skip: () => {},
    });
    broker.epoch = "other00000";
    await until(() => log.bounds().epoch === "other00000");
    await until(() => log.bounds().epoch !== "other00000");
    expect(log.bounds()).toMatchObject({ epoch: broker.epoch, inherited: 2 });
  });

  test("does not go back to an epoch that it has left, when an old copy of it is put back", async () => {
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
    await settled(log.checked());
    expect(connection()).toEqual({ up: true, reconnects: 1, behind: 0 });
    expect(createHub().stats().log.connection).toBeUndefined();
  });

  test("refuses appends at once while the broker is away", async () => {
    broker.isDown = true;
    await until(() => log.fault !== null);
    await expect(log.append([event("1")])).rejects.toMatchObject({
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
      await expect(log.append([event("1")])).rejects.toMatchObject({
        code: "log-failed",
        message: "the log does not take it (full); nothing was published",
      });
      await settled(log.checked());
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
      await expect(log.append(events)).rejects.toMatchObject({
        code: "log-unanswered",
        message: expect.stringMatching(new RegExp(`it may have been published; ${advice}$`)) as unknown,
      });
    },
  );

  test("says that the log failed when a read fails again and again, whatever the broker's words", async () => {
    await hub.close();
    broker.put(event("1"), event("2"));
    await open({ window: { maxEvents: 1 } });
    broker.unreadable = new Error("heartbeats missed");
    const client = connect(hub, { lastEventId: `${log.bounds().epoch}-0` });
    await until(() => client.refused !== null);
    expect(client.refused).toMatchObject({
      name: "HubError",
      code: "log-failed",
      message: expect.stringContaining("heartbeats missed") as unknown,
    });
    expect(log.fault).toBeNull();
  });

  const position = (topic: string, lastEventId: string) =>
    Promise.resolve(
      log.position({ selectors: new SelectorSet([topic]), lastEventId, replay: 0, counted: true }),
    );

  test("waits for an event that is on its way, and for no event that nobody has", async () => {
    const { epoch } = log.bounds();
    expect(await position("t", formatEventId(epoch, 1))).toMatchObject({ gap: "unknown-id", cursor: 0 });
    broker.isHeld = true;
    broker.put(event("1"));
    const found = position("t", formatEventId(epoch, 1));
    await clock.advance(10);
    expect(log.bounds().last).toBe(0);
    broker.isHeld = false;
    expect(await settled(found)).toMatchObject({ resume: "resumed", gap: null, cursor: 1, upTo: 1 });
  });

  test("refuses a stream whose event is on its way for too long", async () => {
    broker.isHeld = true;
    broker.put(event("1"));
    const found = position("t", formatEventId(log.bounds().epoch, 1));
    await expect(settled(found)).rejects.toMatchObject({ code: "log-failed" });
    await found.catch(() => {});
    expect(clock.now()).toBe(5000);
  });

  test("a client with an id from ahead does not bring a wiped broker back under the old epoch", async () => {
    broker.put(event("1"), event("2"));
    await until(() => log.bounds().last === 2);
    const { epoch } = log.bounds();
    broker.wipe();
    const found = await settled(position("t", formatEventId(epoch, 9)));
    expect(broker.epoch).not.toBe(epoch);
    expect(found).toMatchObject({ epoch: broker.epoch, gap: "epoch", cursor: 0, upTo: 0 });
  });

  test("begins an epoch that it never left, whatever the dice say", async () => {
    await hub.close();
    const numbers = ["a", "a", "a", "b", "b", "c"].flatMap((letter) =>
      Array<number>(10).fill(Number.parseInt(letter, 36) / 36),
    );
    broker = new FakeBroker(clock, () => clock.now());
    await open({ random: () => numbers.shift()! });
    expect(log.bounds().epoch).toBe("a".repeat(10));
    for (const letter of "bc") {
      broker.wipe();
      await until(() => log.bounds().epoch === letter.repeat(10));
    }
  });

  test("is told of a position when the log is in another epoch by the time of the answer", async () => {
    await hub.close();
    broker.put(...["1", "2", "3"].map(event));
    await open({ window: { maxEvents: 1 } });
    const { epoch } = log.bounds();
    const answer = Promise.withResolvers<void>();
    broker.answers.position = answer.promise;
    const found = position("t", formatEventId(epoch, 1));
    await clock.advance(1);
    broker.wipe();
    await until(() => log.bounds().epoch !== epoch);
    answer.resolve();
    expect(await settled(found)).toMatchObject({ epoch: broker.epoch, gap: "epoch", upTo: 0 });
  });

  test("considers nothing of a page that was asked for in an epoch that is over by the time of the answer", async () => {
    await hub.close();
    broker.put(...["1", "2", "3"].map(event));
    await open({ window: { maxEvents: 1 } });
    const { epoch } = log.bounds();
    const answer = Promise.withResolvers<void>();
    broker.answers.page = answer.promise;
    const page = Promise.resolve(log.read(0, new SelectorSet(["t"]), { bytes: Infinity, upTo: 3 }));
    await clock.advance(1);
    broker.wipe();
    await until(() => log.bounds().epoch !== epoch);
    broker.put(...["new 1", "new 2", "new 3"].map(event));
    await until(() => log.bounds().last === 3);
    answer.resolve();
    expect(await settled(page)).toMatchObject({ from: 0, entries: [], cursor: 0 });
  });

  test("an answer that comes late on a session that is over changes nothing", async () => {
    const { epoch } = log.bounds();
    const answer = Promise.withResolvers<void>();
    broker.answers.state = answer.promise;
    await clock.advance(10); // a check has begun
    broker.answers.state = Promise.resolve();
    broker.isDown = true;
    await until(() => !log.connection.up);
    broker.wipe();
    broker.isDown = false;
    await until(() => log.bounds().epoch !== epoch);
    const now = log.bounds().epoch;
    answer.resolve();
    await clock.settle();
    expect([log.bounds().epoch, broker.epoch]).toEqual([now, now]);
  });

  test("waits for what is on its way when the broker has evicted some of that, and tells one gap", async () => {
    await hub.close();
    broker.put(event("1"), event("2"), newEvent("u", "", { end: true }));
    await open({ window: { maxEvents: 1 } });
    broker.isHeld = true;
    await clock.advance(2000);
    broker.put(newEvent("v", "", { end: true }), event("5"));
    broker.evict(5);
    const { epoch } = log.bounds();
    const request = { selectors: new SelectorSet(["t", "u", "v"]), replay: 0, counted: true };
    const ask = () => Promise.resolve(log.position({ ...request, lastEventId: formatEventId(epoch, 1) }));
    const found = ask();
    await clock.advance(10);
    broker.isHeld = false;
    expect(await settled(found)).toEqual({
      epoch,
      upTo: 5,
      cursor: 5,
      resume: "reset",
      gap: "evicted",
      replayed: 0,
      ends: [0, 3, 4],
    });
  });

  test("knows ends that the broker knows of, and those whose events were evicted here", async () => {
    await hub.close();
    broker.put(newEvent("a", "", { end: true }), newEvent("b", "", { end: true }));
    broker.evict(1);
    await open({ window: { maxEvents: 1 } });
    broker.put(event("3"));
    await until(() => log.bounds().last === 3);
    const ends = async (topic: string) => (await position(topic, "")).ends;
    expect([await ends("a"), await ends("b"), await ends("t"), await ends("none")]).toEqual([
      [1],
      [2],
      [0],
      [0],
    ]);
  });

  test("waits for what the broker has before it tells that a topic has ended", async () => {
    broker.put(event("1"), newEvent("t", "", { end: true }));
    await until(() => log.bounds().last === 2);
    const id = formatEventId(log.bounds().epoch, 2);
    expect(await position("t", id)).toMatchObject({ resume: "resumed", upTo: 2, ends: [2] });
    broker.isHeld = true;
    await clock.advance(2000);
    broker.put(event("again"));
    const [found, other] = [position("t", id), position("u", id)];
    await clock.advance(10);
    expect(await other).toMatchObject({ upTo: 2, ends: [0] });
    broker.isHeld = false;
    expect(await settled(found)).toMatchObject({ resume: "resumed", upTo: 3, ends: [0] });
  });

  test("takes so many bytes at a time while the broker hangs, and refuses what would have to wait for long", async () => {
    broker.isHanging = true;
    const large = () => log.append([event("x".repeat(1024 * 1024))]).catch((error: Error) => error.message);
    const answers = Array.from({ length: 80 }, large);
    const isQueueFull = (message: unknown) =>
      message === "more is published than the log takes; nothing was published";
    // 3 of them are under way, and 63 wait behind them.
    expect(broker.appends.length).toBe(3);
    expect((await Promise.all(answers.slice(66))).every(isQueueFull)).toBe(true);
    await clock.advance(3000);
    expect((await Promise.all(answers.slice(3, 66))).every(isQueueFull)).toBe(true);
    expect(broker.appends.length).toBe(3);
    await clock.advance(2000);
    expect(await answers[0]!).toContain("it may have been published");
    broker.isHanging = false;
    expect(numberOf((await settled(log.append([event("1")])))[0]!)).toBe(1);
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
    await open({ window: { maxEvents: 1 } });
    const opening = await hub.open({ topics: ["t"], replay: "all" });
    broker.isDown = true;
    await until(() => log.fault !== null);
    const sink = new RecordingSink();
    const stream = opening.attach(sink);
    await clock.advance(5000);
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
      const answers = await settled(Promise.all([1, 2, 4].map((count) => hub.publishMany(messages(count)))));
      expect(broker.appends).toEqual(appends);
      expect(answers.flat().map(numberOf)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    },
  );

  test("keeps what was appended before it was closed, and refuses the rest", async () => {
    const before = log.append([event("1")]);
    await log.close();
    expect(numberOf((await before)[0]!)).toBe(1);
    await expect(log.append([event("2")])).rejects.toMatchObject({ code: "closed" });
  });
});
