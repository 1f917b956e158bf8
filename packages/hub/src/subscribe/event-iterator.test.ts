import { describe, expect, test } from "bun:test";
import { asyncLog } from "../../test/async-log.ts";
import { control, dataOf } from "../../test/client.ts";
import {
  createHub,
  type EventLog,
  type HubEvent,
  type HubOptions,
  type IterateRequest,
  MemoryLog,
  RecordingSink,
  toServerSentEvent,
} from "../index.ts";
import { ManualClock } from "../testing/manual-clock.ts";

function setUp(options: HubOptions = {}) {
  const clock = new ManualClock();
  const log = options.log ?? new MemoryLog({ clock, maxEvents: 100 });
  const hub = createHub({ clock, onError: () => {}, ...options, log });
  const iterate = (request: Partial<IterateRequest> = {}) => hub.iterate({ topics: ["t"], ...request });
  const publish = async (topic: string, message: Parameters<typeof hub.publish>[1]): Promise<string> => {
    const id = hub.publish(topic, message);
    await clock.settle();
    return await id;
  };
  /** The next events, which are there. */
  const take = async (events: AsyncIterator<HubEvent>, count: number): Promise<HubEvent[]> => {
    const results = Array.from({ length: count }, () => events.next());
    await clock.settle();
    return (await Promise.all(results)).map(({ done, value }) => {
      expect(done).toBe(false);
      return value as HubEvent;
    });
  };
  /** All that there will be. */
  const rest = async (events: AsyncIterable<HubEvent>): Promise<HubEvent[]> => {
    const seen: HubEvent[] = [];
    const reading = { isDone: false };
    const all = (async () => {
      for await (const event of events) seen.push(event);
      reading.isDone = true;
    })();
    for (let rounds = 0; !reading.isDone && rounds < 1000; rounds++) await clock.settle();
    expect(reading.isDone).toBe(true);
    await all;
    return seen;
  };
  return { clock, hub, iterate, publish, take, rest };
}

describe("an iterator", () => {
  test("yields where it begins, events with their topics, and ends; then it is done", async () => {
    const { hub, iterate, publish, rest } = setUp();
    const events = iterate({ topics: ["orders/1", "orders/2"] });
    const first = await publish("orders/1", { data: "a\nb", event: "paid", key: "k" });
    const second = await publish("orders/2", { data: { total: 1 } });
    await publish("orders/3", { data: "not asked for" });
    const ends = [await publish("orders/1", { end: true }), await publish("orders/2", { end: true })];
    const [ready, ...seen] = await rest(events);
    expect(ready).toMatchObject({ kind: "ready", resume: "fresh", replayed: 0 });
    expect(seen).toEqual([
      { kind: "event", id: first, topic: "orders/1", type: "paid", key: "k", data: "a\nb" },
      { kind: "event", id: second, topic: "orders/2", type: "message", data: '{"total":1}' },
      { kind: "end", id: ends[0]!, topic: "orders/1" },
      { kind: "end", id: ends[1]!, topic: "orders/2" },
    ]);
    expect(hub.stats().streams).toBe(0);
    // A client that has had everything is told nothing more.
    expect(await rest(iterate({ topics: ["orders/1", "orders/2"], lastEventId: ends[1]! }))).toEqual([]);
  });

  test("tells the topic of each event of a pattern, live and from the log, with holes between them", async () => {
    const { iterate, publish, take } = setUp();
    const topics = ["a/1", "a/2", "a/1", "b", "a/3"];
    const events = iterate({ topics: ["a/*"], lag: "latest", replay: "all" });
    await take(events, 1);
    for (const topic of topics) await publish(topic, { data: topic });
    expect((await take(events, 4)).map((each) => ("topic" in each ? each.topic : each.kind))).toEqual([
      "a/1",
      "a/2",
      "a/1",
      "a/3",
    ]);
    const resumed = iterate({ topics: ["**"], lag: "latest", replay: "all" });
    expect((await take(resumed, 6)).map((each) => ("topic" in each ? each.topic : each.kind))).toEqual([
      "ready",
      "gap",
      "a/2",
      "a/1",
      "b",
      "a/3",
    ]);
  });

  test("answers those who ask at the same time in their order", async () => {
    const { clock, iterate, publish } = setUp();
    const events = iterate();
    const asked = [events.next(), events.next(), events.next()];
    await publish("t", { data: "1" });
    await publish("t", { data: "2" });
    await clock.settle();
    const values = (await Promise.all(asked)).map(({ value }) => value as HubEvent);
    expect(values.map((each) => (each.kind === "event" ? each.data : each.kind))).toEqual([
      "ready",
      "1",
      "2",
    ]);
  });

  test("keeps no more than its mark and a frame while nobody asks; the rest stays in the log", async () => {
    const { hub, iterate, publish, take } = setUp({
      log: new MemoryLog({ maxEvents: 1000 }),
      maxFrameBytes: 4096,
    });
    const events = iterate({ highWaterMark: 10_000 });
    await take(events, 1);
    for (let at = 0; at < 500; at++) await publish("t", { data: `${at} ${"x".repeat(1000)}` });
    expect(hub.stats()).toMatchObject({ blocked: 1 });
    expect(hub.stats().bytes).toBeLessThan(20_000);
    const seen = (await take(events, 500)).map(
      (each) => each.kind === "event" && Number.parseInt(each.data, 10),
    );
    expect(seen).toEqual(Array.from({ length: 500 }, (_, at) => at));
    expect(hub.stats().blocked).toBe(0);
  });

  test("that fell behind is told what is gone", async () => {
    const { iterate, publish, take } = setUp();
    const events = iterate({ highWaterMark: 1 });
    await take(events, 1);
    const ids: string[] = [];
    for (let at = 0; at < 150; at++) ids.push(await publish("t", { data: `${at}` }));
    const [first, gap, next] = await take(events, 3);
    expect(first).toMatchObject({ kind: "event", data: "0" });
    expect(gap).toEqual({ kind: "gap", reason: "evicted", from: ids[0]!, id: ids[49]! });
    expect(next).toMatchObject({ kind: "event", data: "50" });
  });

  test("that fell behind goes on with the latest, or is closed, as it has asked to", async () => {
    for (const [lag, expected] of [
      ["latest", ["0", "lag", "9"]],
      ["disconnect", ["0", "slow"]],
    ] as const) {
      const { hub, iterate, publish, take } = setUp();
      const events = iterate({ highWaterMark: 1, lag });
      await take(events, 1);
      for (let at = 0; at < 10; at++) await publish("t", { data: `${at}` });
      const seen = await take(events, expected.length);
      expect(
        seen.map((each) => (each.kind === "event" ? each.data : "reason" in each && each.reason)),
      ).toEqual([...expected]);
      if (lag === "disconnect") expect(await events.next()).toEqual({ done: true, value: undefined });
      expect(hub.stats().streams).toBe(lag === "disconnect" ? 0 : 1);
    }
  });

  test("is told when the hub closes it, and resumes without a hole", async () => {
    const { clock, hub, iterate, publish, take, rest } = setUp({ writeDeadline: 5000 });
    const idle = iterate();
    const behind = iterate({ highWaterMark: 1 });
    await take(idle, 1);
    await take(behind, 1);
    const id = await publish("t", { data: "0" });
    await publish("t", { data: "1" });
    await publish("t", { data: "2" });
    expect(await take(behind, 1)).toMatchObject([{ data: "0" }]);
    await clock.advance(10_000);
    expect(await rest(behind)).toEqual([{ kind: "closing", reason: "slow", id, retry: expect.any(Number) }]);
    hub.drain({ within: 0 });
    const seen = await rest(idle);
    expect(seen.map((each) => (each.kind === "event" ? each.data : each.kind))).toEqual([
      "0",
      "1",
      "2",
      "closing",
    ]);
    const again = iterate({ lastEventId: id });
    expect(await take(again, 3)).toMatchObject([{ resume: "resumed" }, { data: "1" }, { data: "2" }]);
  });

  test("that expires while it is behind yields nothing more of what it may not read", async () => {
    const { clock, iterate, publish, take, rest } = setUp();
    const events = iterate({ highWaterMark: 1, expiresIn: 1000 });
    await take(events, 1);
    await publish("t", { data: "0" });
    await publish("t", { data: "1" });
    await clock.advance(5000);
    expect(await rest(events)).toMatchObject([{ kind: "closing", reason: "auth-expired" }]);
  });

  test.each(["return", "a signal"])("gives everything back at once with %s, whoever waits", async (by) => {
    const { hub, iterate, take } = setUp();
    const abort = new AbortController();
    const events = iterate({ signal: abort.signal });
    await take(events, 1);
    const waiting = events.next();
    if (by === "return") void events.return!();
    else abort.abort();
    expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0 });
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  test("gives everything back before it was asked for anything, or before the log has answered", async () => {
    const { hub, iterate } = setUp();
    void iterate().return!();
    expect(hub.stats().streams).toBe(0);
    expect(await iterate({ signal: AbortSignal.abort() }).next()).toMatchObject({ done: true });
    const late = setUp({ log: asyncLog(new MemoryLog(), () => 3) });
    for (let turns = 0; turns < 40; turns++) {
      const events = late.iterate();
      const waiting = turns % 2 === 0 ? [events.next(), events.next()] : [];
      expect(late.hub.stats().streams).toBe(1);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      void events.return!();
      expect(late.hub.stats().streams).toBe(0);
      if (waiting.length > 0)
        expect((await Promise.all(waiting)).at(-1)).toEqual({ done: true, value: undefined });
    }
  });

  test("throws what the log throws, once, and what is wrong with the request", async () => {
    const memory = new MemoryLog({ maxEvents: 1000 });
    const failure = new Error("the disk is gone");
    let isBroken = false;
    const log: EventLog = {
      fault: null,
      append: (batch) => memory.append(batch),
      position: (request) => memory.position(request),
      read: (...query) => {
        if (isBroken) throw failure;
        return memory.read(...query);
      },
      tail: (listener) => memory.tail(listener),
      bounds: () => memory.bounds(),
      close: () => memory.close(),
    };
    const { hub, iterate, publish, take, clock } = setUp({ log });
    const events = iterate({ highWaterMark: 1 });
    await take(events, 1);
    for (let at = 0; at < 3; at++) await publish("t", { data: `${at}` });
    isBroken = true;
    expect(await take(events, 1)).toMatchObject([{ data: "0" }]);
    const failed = events.next().catch((error: unknown) => error);
    await clock.settle();
    expect(await failed).toBe(failure);
    expect(await events.next()).toMatchObject({ done: true });
    expect(hub.stats().streams).toBe(0);
    expect(
      await iterate({ topics: ["a/**/b"] })
        .next()
        .catch(String),
    ).toContain("HubError");
    const closing = hub.close();
    await clock.settle();
    await closing;
    expect(await iterate().next().catch(String)).toContain("shutting down");
  });

  test("has what a client of the hub would see, for those who write it themselves", async () => {
    const { clock, hub, iterate, publish, rest } = setUp();
    for (let at = 0; at < 150; at++) await publish("t", { data: `${at}`, event: at % 2 === 0 ? "even" : "" });
    const request = { topics: ["t"], lastEventId: `${hub.stats().log.epoch}-1` };
    const sink = new RecordingSink();
    (await hub.open(request)).attach(sink);
    const events = iterate(request);
    await publish("t", { end: true });
    const told = (await rest(events)).map(toServerSentEvent);
    await clock.settle();
    const named = (type: string) =>
      told.filter(({ event }) => event === type).map(({ data }) => JSON.parse(data));
    for (const type of ["sse:ready", "sse:gap", "sse:end"]) {
      const seen = control(sink, type).map((data) => (type === "sse:ready" ? omitReason(data) : data));
      expect(named(type)).toEqual(seen);
    }
    expect(told.filter(({ event = "" }) => !event.startsWith("sse:")).map(({ data }) => data)).toEqual(
      dataOf(sink),
    );
    expect(told.at(-2)).toEqual({ id: expect.stringMatching(/-150$/), data: "149" });
  });
});

/** The gap that follows has it too. */
function omitReason(data: unknown): unknown {
  const { reason: _, ...rest } = data as { reason?: string };
  return rest;
}
