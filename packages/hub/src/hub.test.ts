import { describe, expect, spyOn, test } from "bun:test";
import * as z from "zod";
import { asyncLog } from "../test/async-log.ts";
import { connect, control, dataOf, decode } from "../test/client.ts";
import { newEvent } from "./testing/log-contract.ts";
import { ManualClock } from "./testing/manual-clock.ts";
import { MortalLog } from "../test/mortal-log.ts";
import {
  createHub,
  type HubOptions,
  MemoryLog,
  RecordingSink,
  type Retention,
  type Stream,
} from "./index.ts";

function setUp({ retention = {}, ...options }: HubOptions & { retention?: Retention } = {}) {
  const clock = new ManualClock();
  const closed: [Stream, string][] = [];
  const hub = createHub({
    clock,
    log: new MemoryLog({ ...retention, clock }),
    random: () => 0.5,
    onClose: (...close) => closed.push(close),
    ...options,
  });
  const publish = async (topic: string, ...data: string[]): Promise<string[]> => {
    const ids = data.map((text) => hub.publish(topic, { data: text }));
    await clock.settle();
    return Promise.all(ids);
  };
  return { clock, hub, publish, closed };
}

describe("publishing", () => {
  test("reaches every stream whose selectors match, and no other", async () => {
    const { hub, publish } = setUp();
    const streams = [["a"], ["a", "b"], ["a/*"], ["**"], ["b"]].map((topics) => connect(hub, { topics }));
    await publish("a", "1");
    await publish("a/b", "2");
    expect(streams.map(({ sink }) => dataOf(sink))).toEqual([["1"], ["1"], ["2"], ["1", "2"], []]);
  });

  test("all events of one turn reach a stream in one write, and a cohort shares the bytes", async () => {
    const { hub, publish, clock } = setUp();
    const [one, two] = [connect(hub), connect(hub)];
    const other = connect(hub, { topics: ["t", "u"] });
    await clock.settle();
    const before = one.sink.frames.length;
    await publish("t", "1", "2", "3");
    expect(one.sink.frames.length).toBe(before + 1);
    expect(one.sink.frames.at(-1)).toBe(two.sink.frames.at(-1));
    expect(one.sink.frames.at(-1)).toBe(other.sink.frames.at(-1));
    expect(dataOf(one.sink)).toEqual(["1", "2", "3"]);
  });

  test("is acknowledged only after the log has it, and fails with the log", async () => {
    const clock = new ManualClock();
    const log = new MemoryLog();
    let fail = false;
    const append = log.append.bind(log);
    log.append = (batch) => {
      if (fail) throw new Error("disk full");
      return append(batch);
    };
    const hub = createHub({ clock, log });
    let acknowledged = false;
    const id = hub.publish("t", { data: "1" }).finally(() => (acknowledged = true));
    await Promise.resolve();
    expect({ acknowledged, kept: log.bounds().events }).toEqual({ acknowledged: false, kept: 0 });
    await clock.settle();
    expect(log.bounds().events).toBe(1);
    expect(await id).toEndWith("-1");
    fail = true;
    const failed = hub.publish("t", { data: "2" });
    const { sink } = connect(hub);
    failed.catch(() => {});
    await clock.settle();
    await expect(failed).rejects.toMatchObject({
      code: "log-failed",
      message: expect.stringContaining("disk full"),
    });
    expect(dataOf(sink)).toEqual([]);
  });

  test("many are all or nothing, and answered one by one", async () => {
    const { hub, clock } = setUp();
    const { sink } = connect(hub);
    expect(
      hub.publishMany([
        { topic: "t", data: "1" },
        { topic: "no topic", data: "2" },
      ]),
    ).rejects.toThrow("event 1: topic");
    const ids = hub.publishMany([
      { topic: "t", data: "1", id: "p" },
      { topic: "t", data: "2", end: true },
      { topic: "t", data: "1", id: "p" },
    ]);
    await clock.settle();
    const [first, second, again] = await ids;
    expect(again).toBe(first);
    expect(second).not.toBe(first!);
    expect(dataOf(sink)).toEqual(["1", "2"]);
    expect(await hub.publishMany([])).toEqual([]);
    const tooMany = Array.from({ length: 10_001 }, () => ({ topic: "t", data: "x" }));
    await expect(hub.publishMany(tooMany)).rejects.toThrow("there are more than 10000 events");
  });

  test("come in several turns when they are very many, each publication whole and in its order", async () => {
    const log = new MemoryLog();
    const append = spyOn(log, "append");
    const { hub, clock } = setUp({ log });
    const array = (name: string, length: number) =>
      Array.from({ length }, (_, at) => ({ topic: "t", data: `${name} ${at}` }));
    const sizes = [1500, 400, 200, 3000, 1];
    const published = sizes.map((size, at) => hub.publishMany(array(`${at}`, size)));
    await clock.settle();
    const ids = (await Promise.all(published)).flat();
    expect(append.mock.calls.map(([batch]) => batch.length)).toEqual([1900, 200, 3000, 1]);
    expect(ids).toHaveLength(5101);
    expect(ids).toEqual(ids.toSorted((a, b) => Number(a.split("-")[1]) - Number(b.split("-")[1])));
  });

  test("are those that were added, whatever becomes of them while a schema takes its time", async () => {
    const schemas = { a: z.any().refine(async () => true), b: z.never() };
    const { hub, clock } = setUp({ schemas });
    const message = { topic: "a", data: 1 };
    const published = hub.publishMany([message]);
    message.topic = "b";
    for (let i = 0; i < 20; i++) await Promise.resolve();
    await clock.settle();
    expect(await published).toHaveLength(1);
    expect(hub.listeners("b")).toBe(0);
  });

  test("carries data as it is or as JSON, and the type", async () => {
    const { hub, clock } = setUp();
    const { sink } = connect(hub);
    const values = ["text\r\nof\rlines", { a: [1, null] }, 0, false, null, ""];
    await Promise.all([clock.settle(), ...values.map((data) => hub.publish("t", { data, event: "kind" }))]);
    const events = decode(sink).filter(({ type }) => type === "kind");
    expect(events.map(({ data }) => data)).toEqual([
      "text\nof\nlines",
      '{"a":[1,null]}',
      "0",
      "false",
      "null",
      "",
    ]);
  });

  const circular: unknown[] = [];
  circular.push(circular);
  test.each([
    [{ data: "x", event: "a\nb" }, "event must not hold"],
    [{ data: "x", event: "sse:end" }, "the hub's own"],
    [{ data: "x", event: " \t\ufeffsse:end" }, "the hub's own"],
    [{ data: "x", id: "a\rb" }, "id must not hold"],
    [{ data: "x", id: "a\0b" }, "id must not hold"],
    [{ data: "x", key: "x".repeat(1025) }, "key is longer"],
    [{ data: "x", event: 1 as unknown as string }, "event must be a string"],
    [{ data: "x", end: "yes" as unknown as boolean }, "end must be"],
    [{}, "data is missing"],
    [{ data: circular }, "cannot be written as JSON"],
    [{ data: 1n }, "cannot be written as JSON"],
    [{ data: "é".repeat(600_000) }, "over the limit of 1048576 bytes"],
    [{ data: "\n".repeat(200_000) }, "over the limit of 1048576 bytes"],
    [{ data: "x", event: "\ud800" }, "event must not hold half a surrogate pair"],
  ])("refuses %#: %s", async (message, fault) => {
    await expect(setUp().hub.publish("t", message)).rejects.toThrow(fault);
  });
});

describe("resuming", () => {
  const ready = (sink: RecordingSink): unknown => control(sink, "sse:ready")[0];

  test("a fresh stream starts now, and its first event carries the cursor it starts from", async () => {
    const { hub, publish, clock } = setUp();
    const [id] = await publish("t", "before");
    const { sink } = connect(hub);
    expect(decode(sink)[0]).toEqual({
      type: "sse:ready",
      data: '{"resume":"fresh","replayed":0}',
      lastEventId: id!,
    });
    expect(sink.text).toContain("retry: 2000\n");
    await publish("t", "in between");
    const { sink: again } = connect(hub, { lastEventId: id });
    await clock.settle();
    expect(ready(again)).toEqual({ resume: "resumed", replayed: 1 });
    expect(dataOf(again)).toEqual(["in between"]);
  });

  test.each([
    ["all", ["1", "2", "3"]],
    [2, ["2", "3"]],
    [0, []],
    [99, ["1", "2", "3"]],
  ] as const)("replay %p", async (replay, expected) => {
    const { hub, publish, clock } = setUp();
    await publish("t", "1", "2", "3");
    await publish("other", "4");
    const { sink } = connect(hub, { replay });
    await clock.settle();
    expect(ready(sink)).toEqual({ resume: "fresh", replayed: expected.length });
    expect(dataOf(sink)).toEqual([...expected]);
  });

  test("a stream on a log that answers late begins as it would on one that answers at once", async () => {
    const clock = new ManualClock();
    const hub = createHub({ clock, log: asyncLog(new MemoryLog({ clock }), () => 3) });
    const ids = ["1", "2", "3"].map((data) => hub.publish("t", { data }));
    await clock.settle();
    const { sink } = connect(hub, { lastEventId: await ids[0] });
    expect(sink.frames).toEqual([]);
    const live = hub.publish("t", { data: "4" }); // while it is looked for where to begin
    await clock.settle();
    await live;
    expect(ready(sink)).toEqual({ resume: "resumed", replayed: 3 });
    expect(dataOf(sink)).toEqual(["2", "3", "4"]);
  });

  test("replay is for clients without a cursor", async () => {
    const { hub, publish, clock } = setUp();
    const [, second] = await publish("t", "1", "2", "3");
    const { sink } = connect(hub, { replay: "all", lastEventId: second });
    await clock.settle();
    expect(dataOf(sink)).toEqual(["3"]);
  });

  test("a cursor whose successors were evicted is reset, told the gap, and given what is left", async () => {
    const { hub, publish, clock } = setUp({ retention: { maxEvents: 2 } });
    const ids = await publish("t", "1", "2", "3", "4", "5");
    const { sink } = connect(hub, { lastEventId: ids[0] });
    await clock.settle();
    expect(ready(sink)).toEqual({ resume: "reset", replayed: 2, reason: "evicted" });
    expect(control(sink, "sse:gap")).toEqual([{ reason: "evicted", from: ids[0], to: ids[2] }]);
    expect(decode(sink)[0]!.lastEventId).toBe(ids[2]!);
    expect(dataOf(sink)).toEqual(["4", "5"]);
  });

  test("an id of another epoch is reset, told the gap, and given all of this one", async () => {
    const { hub, publish, clock } = setUp();
    const ids = await publish("t", "1", "2");
    const old = "0123456789-7";
    const { sink } = connect(hub, { lastEventId: old });
    await clock.settle();
    expect(ready(sink)).toEqual({ resume: "reset", replayed: 2, reason: "epoch" });
    expect(control(sink, "sse:gap")).toEqual([
      { reason: "epoch", from: old, to: ids[0]!.replace(/-1$/, "-0") },
    ]);
    expect(dataOf(sink)).toEqual(["1", "2"]);
  });

  test.each(["garbage", "x".repeat(100_000), "-1", "EPOCH-99", "EPOCH-01", "EPOCH--1", "EPOCH-1e3", "é\0"])(
    "the id %# that never was one is reset, told so, and goes on live",
    async (text) => {
      const { hub, publish, clock } = setUp();
      const [id] = await publish("t", "1");
      const epoch = id!.slice(0, 10);
      const { sink } = connect(hub, { lastEventId: text.replace("EPOCH", epoch) });
      await publish("t", "2");
      await clock.settle();
      expect(ready(sink)).toEqual({ resume: "reset", replayed: 0, reason: "unknown-id" });
      expect(control(sink, "sse:gap")).toEqual([{ reason: "unknown-id", from: null, to: id }]);
      expect(dataOf(sink)).toEqual(["2"]);
    },
  );

  test.each([
    [{ topics: [] }, "at least one topic"],
    [
      { topics: Array.from({ length: 101 }, (_, at) => `t/${at}`) },
      "101 topics are more than the limit of 100",
    ],
    [{ topics: ["a b"] }, "a space"],
    [
      { topics: [`${"*/".repeat(200)}a`, `${"*/".repeat(100)}b`] },
      "302 segments in all, more than the limit of 256",
    ],
    [{ replay: -1 }, "replay must be"],
    [{ replay: 1.5 }, "replay must be"],
    [{ lag: "whatever" as "latest" }, "lag must be one of catch-up, latest, disconnect"],
  ])("refuses %j", (request, fault) => {
    const { hub } = setUp();
    expect(() => connect(hub, request)).toThrow(fault);
    expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0 });
  });
});

describe("slow readers", () => {
  test("a blocked stream is written nothing, delays nobody, and catches up when it goes on", async () => {
    const { hub, publish } = setUp();
    const [slow, fast] = [connect(hub), connect(hub)];
    slow.sink.stall();
    for (const data of ["1", "2", "3", "4"]) await publish("t", data);
    expect(dataOf(fast.sink)).toEqual(["1", "2", "3", "4"]);
    expect(dataOf(slow.sink)).toEqual(["1"]); // in flight when it stalled
    expect(hub.stats()).toMatchObject({ blocked: 1, streams: 2 });
    slow.sink.release();
    await publish("t", "5");
    expect(dataOf(slow.sink)).toEqual(["1", "2", "3", "4", "5"]);
    expect(slow.stream.state).toBe("live");
  });

  test("is told of what was evicted meanwhile, before anything newer", async () => {
    const { hub, publish, clock } = setUp({ retention: { maxEvents: 2 } });
    const { sink } = connect(hub);
    sink.stall();
    const ids: string[] = [];
    for (const data of ["1", "2", "3", "4", "5"]) ids.push(...(await publish("t", data)));
    sink.release();
    await clock.settle();
    await publish("t", "6");
    expect(dataOf(sink)).toEqual(["1", "4", "5", "6"]);
    expect(control(sink, "sse:gap")).toEqual([{ reason: "evicted", from: ids[0], to: ids[2] }]);
    expect(hub.stats().gaps.evicted).toBe(1);
  });

  test("is told nothing of a hole in topics that are not its own", async () => {
    const { hub, publish } = setUp({ retention: { maxEvents: 2 } });
    const { sink } = connect(hub);
    sink.stall();
    await publish("t", "1");
    for (let at = 0; at < 10; at++) await publish("other", "x");
    sink.release();
    await publish("t", "2");
    expect(decode(sink).map(({ type }) => type)).toEqual(["sse:ready", "message", "message"]);
  });

  test("lag=latest gives the newest of each topic and key, and tells where it left some out", async () => {
    const { hub, clock } = setUp();
    const { sink, stream } = connect(hub, { topics: ["**"], lag: "latest" });
    sink.stall();
    const ids: string[] = [];
    for (const [topic, key, data] of [
      ["a", "x", "1"],
      ["a", "x", "2"],
      ["a", "y", "3"],
      ["b", "x", "4"],
      ["a", "x", "5"],
    ] as const) {
      const id = hub.publish(topic, { data, key });
      await clock.settle();
      ids.push(await id);
    }
    sink.release();
    await clock.settle();
    expect(dataOf(sink)).toEqual(["1", "3", "4", "5"]);
    expect(control(sink, "sse:gap")).toEqual([{ reason: "lag", from: ids[0], to: ids[1] }]);
    expect(stream.state).toBe("live");
  });

  test("lag=disconnect ends a stream that fell behind, and lets it resume", async () => {
    const { hub, publish, closed } = setUp();
    const { sink, stream } = connect(hub, { lag: "disconnect" });
    sink.stall();
    const [id] = await publish("t", "1");
    await publish("t", "2");
    sink.release();
    await publish("t", "3");
    expect(closed).toEqual([[stream, "slow"]]);
    expect(control(sink, "sse:closing")).toEqual([{ reason: "slow", retry: 2000 }]);
    expect(decode(sink).at(-1)!.lastEventId).toBe(id!);
    const again = connect(hub, { lag: "disconnect", lastEventId: id });
    await publish("t", "4");
    expect(dataOf(again.sink)).toEqual(["2", "3", "4"]);
  });

  test("lag=disconnect lets a stream be that was blocked but missed nothing", async () => {
    const { hub, publish, clock } = setUp();
    const { sink, stream } = connect(hub, { lag: "disconnect" });
    sink.stall();
    await publish("t", "1");
    await publish("other", "x");
    sink.release();
    await clock.settle();
    await publish("t", "2");
    expect(stream.state).toBe("live");
    expect(dataOf(sink)).toEqual(["1", "2"]);
  });

  test("a write that stays blocked over the deadline aborts the stream", async () => {
    const { hub, publish, clock, closed } = setUp({ writeDeadline: 10_000 });
    const { sink, stream } = connect(hub);
    sink.stall();
    await publish("t", "1");
    await clock.advance(9_000);
    expect(closed).toEqual([]);
    await clock.advance(4_000);
    expect(closed).toEqual([[stream, "slow"]]);
    expect(sink.ended).toBe("aborted");
    sink.release();
    await publish("t", "2");
    expect(dataOf(sink)).toEqual(["1"]);
  });

  test("events that outrun a cohort are read from the log, so that nothing is queued", async () => {
    const { hub, clock } = setUp({ maxFrameBytes: 256 });
    const streams = Array.from({ length: 20 }, () => connect(hub));
    const sent = Array.from({ length: 500 }, (_, at) => `${at}`);
    const done = hub.publishMany(sent.map((data) => ({ topic: "t", data })));
    await clock.settle();
    await done;
    for (const { sink, stream } of streams) {
      expect(dataOf(sink)).toEqual(sent);
      expect(stream.state).toBe("live");
      for (const frame of sink.frames) expect(frame.byteLength).toBeLessThanOrEqual(256);
    }
  });

  test("thousands of streams are written to over several turns, and newcomers get nothing twice", async () => {
    const { hub, publish, clock } = setUp();
    const streams = Array.from({ length: 5000 }, () => connect(hub));
    await clock.settle();
    const first = hub.publish("t", { data: "1" });
    clock.turn();
    await first;
    expect(streams.filter(({ sink }) => dataOf(sink).length > 0).length).toBeLessThan(3000);
    streams[4999]!.stream.gone();
    streams[0]!.stream.gone();
    const late = connect(hub);
    const second = hub.publish("t", { data: "2" });
    clock.turn();
    await second;
    const resumed = connect(hub, { lastEventId: await first });
    await publish("t", "3");
    expect(dataOf(late.sink)).toEqual(["2", "3"]);
    expect(dataOf(resumed.sink)).toEqual(["2", "3"]);
    for (const { sink } of streams.slice(1, -1)) expect(dataOf(sink)).toEqual(["1", "2", "3"]);
  });

  test("a sink that throws ends its own stream only", async () => {
    const { hub, publish, closed } = setUp();
    const { stream, sink } = connect(hub);
    const other = connect(hub);
    sink.write = () => {
      throw new Error("broken");
    };
    await publish("t", "1");
    expect(closed).toEqual([[stream, "error"]]);
    expect(dataOf(other.sink)).toEqual(["1"]);
  });
});

describe("a new life of the log", () => {
  function setUpMortal(options: HubOptions = {}) {
    const clock = new ManualClock();
    const log = new MortalLog(new MemoryLog({ clock }));
    const hub = createHub({ clock, log, ...options });
    const publish = async (data: string): Promise<string> => {
      const id = hub.publish("t", { data });
      await clock.settle();
      return id;
    };
    /** The next life, with what others have put there. */
    const reset = (...data: string[]): string => {
      const store = new MemoryLog({ clock });
      store.append(data.map((text) => newEvent("t", text)));
      log.reset(store);
      return `${store.bounds().epoch}-0`;
    };
    return { clock, log, hub, publish, reset };
  }
  const seen = (sink: RecordingSink) =>
    decode(sink).map(({ type, data }) => (type === "message" ? data : type));

  test("is told to live streams before anything of it, and they go on from its start", async () => {
    const { hub, publish, reset, clock } = setUpMortal();
    const { sink } = connect(hub);
    const from = await publish("1");
    const to = reset("2", "3");
    await clock.settle();
    await publish("4");
    expect(seen(sink)).toEqual(["sse:ready", "1", "sse:gap", "2", "3", "4"]);
    expect(control(sink, "sse:gap")).toEqual([{ reason: "epoch", from, to }]);
    expect(decode(sink)[2]!.lastEventId).toBe(to);
    expect(hub.stats().gaps.epoch).toBe(1);
  });

  test("may number its events as the old one did", async () => {
    const { hub, publish, reset, clock } = setUpMortal();
    const { sink } = connect(hub);
    await publish("1");
    reset();
    await clock.settle();
    await publish("2");
    expect(seen(sink)).toEqual(["sse:ready", "1", "sse:gap", "2"]);
  });

  test("takes what was pending of the old one with it", async () => {
    const { hub, publish, reset, clock } = setUpMortal();
    const { sink } = connect(hub);
    const from = await publish("1");
    const lost = hub.publish("t", { data: "lost" });
    clock.turn(); // it is in the log, and on its way to the stream
    await lost;
    reset();
    await publish("2");
    expect(seen(sink)).toEqual(["sse:ready", "1", "sse:gap", "2"]);
    expect(control(sink, "sse:gap")).toMatchObject([{ reason: "epoch", from }]);
  });

  test("is told to a blocked stream when it goes on, once, from what it had", async () => {
    const { hub, publish, reset, clock } = setUpMortal();
    const { sink } = connect(hub);
    sink.stall();
    const from = await publish("1");
    await publish("lost");
    reset("lost as well");
    await publish("and this");
    const to = reset("2");
    await publish("3");
    sink.release();
    await clock.settle();
    expect(seen(sink)).toEqual(["sse:ready", "1", "sse:gap", "2", "3"]);
    expect(control(sink, "sse:gap")).toEqual([{ reason: "epoch", from, to }]);
  });

  test("makes nothing of a read that was under way", async () => {
    const clock = new ManualClock();
    const log = new MortalLog(new MemoryLog({ clock }));
    const late = asyncLog(log, () => 0);
    const hub = createHub({ clock, log: late });
    for (const data of ["1", "2"]) log.append([newEvent("t", data)]);
    const answer = Promise.withResolvers<Awaited<ReturnType<MemoryLog["read"]>>>();
    late.read = () => answer.promise;
    const connection = connect(hub, { replay: "all" });
    const { sink } = connection;
    await clock.settle();
    expect(connection.stream.state).toBe("catching-up");
    const page = log.read(0, connection.stream.cohort.selectors, { bytes: Infinity, upTo: Infinity });
    late.read = (...query) => log.read(...query);
    const next = new MemoryLog({ clock });
    next.append([newEvent("t", "new")]);
    log.reset(next);
    answer.resolve(page);
    for (let i = 0; i < 4; i++) await Promise.resolve(); // it comes first
    await clock.settle();
    expect(seen(sink)).toEqual(["sse:ready", "sse:gap", "new"]);
  });

  test("that begins while a stream is being opened is where the stream begins", async () => {
    const { hub, publish, reset, clock } = setUpMortal();
    const lastEventId = await publish("1");
    const opening = await hub.open({ topics: ["t"], lastEventId });
    reset("2");
    const sink = new RecordingSink();
    opening.attach(sink);
    await clock.settle();
    expect(seen(sink)).toEqual(["sse:ready", "sse:gap", "2"]);
    expect(control(sink, "sse:ready")).toEqual([{ resume: "reset", replayed: 1, reason: "epoch" }]);
  });

  test("is not lost on a stream that is closed before it could be told", async () => {
    const { hub, publish, reset } = setUpMortal({ writesPerTurn: 1 });
    const sinks = [connect(hub).sink, connect(hub).sink];
    const from = await publish("1");
    const to = reset("2");
    await hub.close();
    const [told, untold] = sinks.map((sink) => decode(sink).slice(2));
    expect(told).toMatchObject([
      { type: "sse:gap", lastEventId: to },
      { type: "sse:closing", lastEventId: to },
    ]);
    expect(untold).toMatchObject([{ type: "sse:closing", lastEventId: from }]);
  });

  test("forgets which topics had ended", async () => {
    const { hub, publish, reset, clock } = setUpMortal();
    const { sink } = connect(hub, { topics: ["t", "u"] });
    await Promise.all([hub.end("t"), clock.settle()]);
    reset("1");
    await Promise.all([hub.end("u"), clock.settle()]);
    expect(sink.ended).toBeNull();
    await publish("2");
    expect(seen(sink)).toEqual(["sse:ready", "sse:end", "sse:gap", "1", "sse:end", "2"]);
  });
});

describe("the end of topics", () => {
  test("is told, and closes a stream once all of its topics have ended", async () => {
    const { hub, clock, closed } = setUp();
    const both = connect(hub, { topics: ["a", "b"] });
    const pattern = connect(hub, { topics: ["*"] });
    const end = hub.publish("a", { data: "last", end: true });
    await clock.settle();
    await end;
    expect(control(both.sink, "sse:end")).toEqual([{ topic: "a" }]);
    expect(both.stream.state).toBe("live");
    const second = hub.end("b");
    await clock.settle();
    await second;
    expect(control(both.sink, "sse:end")).toEqual([{ topic: "a" }, { topic: "b" }]);
    expect(closed).toEqual([[both.stream, "ended"]]);
    expect(both.sink.ended).toBe("closed");
    expect(pattern.stream.state).toBe("live");
  });

  test("a client that has had all is told to stay away, one that has not is given the rest", async () => {
    const { hub, clock, closed } = setUp();
    const first = hub.publish("a", { data: "1" });
    const end = hub.end("a");
    await clock.settle();
    expect(await hub.open({ topics: ["a"], lastEventId: await end })).toMatchObject({ over: true });
    expect(await hub.open({ topics: ["a", "b"], lastEventId: await end })).toMatchObject({ over: false });
    expect(await hub.open({ topics: ["*"], lastEventId: await end })).toMatchObject({ over: false });
    const { sink } = connect(hub, { topics: ["a"], lastEventId: await first });
    await clock.settle();
    expect(control(sink, "sse:end")).toEqual([{ topic: "a" }]);
    expect(closed.length).toBe(1);
  });

  test("a fresh stream on an ended topic is told so and closed", async () => {
    const { hub, clock, closed } = setUp();
    const end = hub.end("a");
    await clock.settle();
    await end;
    const { sink } = connect(hub, { topics: ["a"] });
    await clock.settle();
    expect(decode(sink).map(({ type }) => type)).toEqual(["sse:ready", "sse:end"]);
    expect(closed.length).toBe(1);
    expect(await hub.open({ topics: ["a"], lastEventId: decode(sink).at(-1)!.lastEventId })).toMatchObject({
      over: true,
    });
  });

  test("a topic that is published to again goes on", async () => {
    const { hub, publish, clock } = setUp();
    const end = hub.end("a");
    await clock.settle();
    await end;
    await publish("a", "1");
    const { sink, stream } = connect(hub, { topics: ["a"], replay: "all" });
    await publish("a", "2");
    expect(dataOf(sink)).toEqual(["1", "2"]);
    expect(stream.state).toBe("live");
  });
});

describe("heartbeats", () => {
  const comments = (sink: RecordingSink): number => sink.text.split(/^:$/m).length - 1;

  test("go to quiet streams, within the time promised, spread out", async () => {
    const { hub, clock } = setUp();
    const streams = Array.from({ length: 1000 }, () => connect(hub));
    const times: number[] = [];
    for (const { sink } of streams) {
      const write = sink.write.bind(sink);
      sink.write = (frame) => {
        times.push(clock.now());
        return write(frame);
      };
    }
    await clock.advance(15_000);
    for (const { sink } of streams) expect(comments(sink)).toBe(1);
    const most = Math.max(
      ...Map.groupBy(times, (time) => time)
        .values()
        .map(({ length }) => length),
    );
    expect(most).toBeLessThanOrEqual(100);
  });

  test("skip streams that were written to lately, and blocked ones", async () => {
    const { hub, publish, clock } = setUp();
    const [busy, slow] = [connect(hub, { topics: ["busy"] }), connect(hub, { topics: ["slow"] })];
    slow.sink.stall();
    await publish("slow", "x");
    for (let at = 0; at < 40; at++) {
      await clock.advance(500);
      await publish("busy", "x");
    }
    expect(comments(busy.sink)).toBe(0);
    expect(comments(slow.sink)).toBe(0);
  });

  test("find out who is gone", async () => {
    const { hub, clock, closed } = setUp();
    const { sink, stream } = connect(hub);
    sink.vanish();
    await clock.advance(15_000);
    expect(closed).toEqual([[stream, "client"]]);
  });

  test("can be turned off", async () => {
    const { hub, clock } = setUp({ heartbeat: null });
    const { sink } = connect(hub);
    await clock.advance(100_000);
    expect(comments(sink)).toBe(0);
  });
});

describe("closing", () => {
  test("keeps what was published, tells every stream when to come back, and takes no more", async () => {
    const { hub, clock, closed } = setUp({ random: Math.random });
    const streams = Array.from({ length: 100 }, () => connect(hub));
    await clock.settle();
    streams[0]!.sink.stall();
    const last = hub.publish("t", { data: "last" });
    const done = hub.close({ within: 1000 });
    expect(hub.closing).toBeTrue();
    await expect(hub.publish("t", { data: "late" })).rejects.toThrow("shutting down");
    expect(() => connect(hub)).toThrow("shutting down");
    expect(await last).toEndWith("-1");
    await clock.advance(500);
    expect(closed.length).toBeGreaterThan(30);
    expect(closed.length).toBeLessThan(70);
    await clock.advance(600);
    await done;
    expect(closed.map(([, reason]) => reason)).toEqual(streams.map(() => "drain"));
    expect(clock.timers).toBe(0);
    const retries = new Set<number>();
    for (const { sink } of streams.slice(1)) {
      const [closing] = control(sink, "sse:closing") as { reason: string; retry: number }[];
      expect(closing!.reason).toBe("drain");
      expect(dataOf(sink)).toEqual(["last"]);
      retries.add(closing!.retry);
    }
    expect(retries.size).toBeGreaterThan(50);
  });

  test("answers those first whom the log has yet to answer", async () => {
    const clock = new ManualClock();
    const memory = new MemoryLog();
    const kept = Promise.withResolvers<void>();
    let isClosed = false;
    const log = asyncLog(memory, () => 0);
    log.append = (batch) => kept.promise.then(() => memory.append(batch));
    log.close = () => {
      isClosed = true;
    };
    const hub = createHub({ clock, log });
    const published = hub.publish("t", { data: "1" });
    await clock.settle();
    const done = hub.close();
    await clock.settle();
    expect(isClosed).toBe(false);
    kept.resolve();
    expect(await published).toEndWith("-1");
    await done;
    expect(isClosed).toBe(true);
  });

  test("many streams are closed in parts that stay small", async () => {
    const { hub, clock, closed } = setUp();
    for (let at = 0; at < 10_000; at++) connect(hub);
    await clock.settle();
    const done = hub.close({ within: 5000 });
    for (let before = 0; closed.length < 10_000; before = closed.length) {
      await clock.advance(25);
      expect(closed.length - before).toBeLessThanOrEqual(256);
    }
    expect(clock.now()).toBeGreaterThan(4000);
    expect(clock.now()).toBeLessThanOrEqual(5050);
    await done;
  });

  test("some are sent away and come back, while the hub goes on", async () => {
    const { hub, clock, closed } = setUp({ random: Math.random });
    const streams = Array.from({ length: 40 }, () => connect(hub, { topics: ["t", "u"] }));
    const other = connect(hub, { topics: ["*"] });
    await clock.settle();
    expect(hub.drain({ topics: ["u"], within: 1000 })).toBe(40);
    await clock.advance(500);
    expect(closed.length).toBeGreaterThan(10);
    expect(closed.length).toBeLessThan(30);
    const [first] = closed[0]!;
    const back = connect(hub, { topics: ["t", "u"] });
    void hub.publish("t", { data: "meanwhile" });
    await clock.advance(600);
    expect(closed.map(([, reason]) => reason)).toEqual(streams.map(() => "drain"));
    expect(back.stream.state).toBe("live");
    expect(dataOf(back.sink)).toEqual(["meanwhile"]);
    expect(dataOf(other.sink)).toEqual(["meanwhile"]);
    expect(control(streams.find(({ stream }) => stream === first)!.sink, "sse:closing")).toEqual([
      { reason: "drain", retry: expect.any(Number) },
    ]);
    expect(hub.drain({ within: 0 })).toBe(2);
    await clock.settle();
    expect(closed.length).toBe(42);
    expect(hub.stats().closes.drain).toBe(42);
    await hub.close();
    expect(clock.timers).toBe(0);
  });

  test("what was begun to be sent away leaves no timer behind when the hub closes", async () => {
    const { hub, clock, closed } = setUp();
    for (let at = 0; at < 40; at++) connect(hub);
    await clock.settle();
    hub.drain({ within: 3_600_000 });
    await hub.close();
    expect(closed.length).toBe(40);
    expect(clock.timers).toBe(0);
  });

  test("only so many take their time at once, and there is room again when they are done", async () => {
    const { hub, clock, closed } = setUp();
    for (let at = 0; at < 40; at++) connect(hub);
    connect(hub.namespace(new MemoryLog({ clock })));
    await clock.settle();
    for (let at = 0; at < 16; at++) expect(hub.drain({ within: 3_600_000 })).toBe(41);
    const timers = clock.timers;
    expect(() => hub.drain({ within: 1 })).toThrow("16 drains are at work");
    expect(clock.timers).toBe(timers);
    expect(hub.drain({ within: 0 })).toBe(41); // keeps nothing
    await clock.settle();
    expect(closed.length).toBe(41);
    await clock.advance(200_000);
    connect(hub);
    expect(hub.drain({ within: 1 })).toBe(1);
  });

  test.each([
    [{ within: -1 }, "within must be a whole number"],
    [{ within: 3_600_001 }, "at most 3600000"],
    [{ within: 0.5 }, "within must be a whole number"],
    [{ topics: [] }, "at least one topic is needed"],
    [{ topics: ["a b"] }, "holds a space"],
  ])("sends nobody away for %j", (options, problem) => {
    const { hub, closed } = setUp();
    connect(hub);
    expect(() => hub.drain(options)).toThrow(problem);
    expect(closed).toEqual([]);
  });

  test("at once, when no time is given", async () => {
    const { hub, closed } = setUp();
    const { sink } = connect(hub);
    await hub.close();
    await hub.close();
    expect(closed.length).toBe(1);
    expect(sink.ended).toBe("closed");
  });
});

describe("options", () => {
  test.each([
    { heartbeat: 0 },
    { retry: -1 },
    { writeDeadline: 1.5 },
    { maxFrameBytes: null as unknown as number },
  ])("%j is refused", (options) => {
    expect(() => createHub(options)).toThrow(/must be a whole number/);
  });
});

describe("what is told of it", () => {
  test("names the streams that are furthest behind, the furthest first", async () => {
    const { hub, publish, clock } = setUp();
    const [one, two] = [connect(hub), connect(hub, { topics: ["t", "u"] })];
    connect(hub);
    await clock.settle();
    expect(hub.slowest(10)).toEqual([]);
    two.sink.stall();
    await publish("t", "1");
    await clock.advance(10);
    one.sink.stall();
    await publish("t", "2");
    await publish("t", "3", "4");
    expect(hub.slowest(10)).toEqual([
      { topics: ["t", "u"], state: "blocked", age: 10, lag: 3 },
      { topics: ["t"], state: "blocked", age: 10, lag: 2 },
    ]);
    expect(hub.slowest(1)).toHaveLength(1);
    two.sink.release();
    one.sink.release();
    await clock.settle();
    expect(hub.slowest(10)).toEqual([]);
  });

  test("tells how long commits and fan-outs take, once for a turn and once for a frame", async () => {
    const committed: number[] = [];
    const fannedOut: number[] = [];
    const { hub, clock } = setUp({
      writesPerTurn: 4, // of which a cohort has one
      observer: {
        committed: (duration) => committed.push(duration),
        fannedOut: (duration) => fannedOut.push(duration),
      },
    });
    for (let at = 0; at < 3; at++) connect(hub);
    await clock.settle();
    const published = [hub.publish("t", { data: "1" }), hub.publish("t", { data: "2" })];
    await clock.advance(5);
    await Promise.all(published);
    expect(committed).toHaveLength(1);
    expect(fannedOut).toHaveLength(1);
    expect(hub.stats()).toMatchObject({ bytesTaken: expect.any(Number), resumes: { fresh: 3 } });
  });
});
