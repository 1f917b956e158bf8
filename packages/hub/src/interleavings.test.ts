import { getEventListeners } from "node:events";
import { describe, expect, spyOn, test } from "bun:test";
import { connect, control, dataOf } from "../test/client.ts";
import {
  createHub,
  type EventLog,
  type HubOptions,
  MemoryLog,
  type Opening,
  parseTopic,
  type Position,
  RecordingSink,
  type TailListener,
} from "./index.ts";
import { MortalLog } from "../test/mortal-log.ts";
import { ManualClock } from "./testing/manual-clock.ts";

/* What happens between two steps that look like one. */

function setUp(options: HubOptions = {}) {
  const clock = new ManualClock();
  const closed: string[] = [];
  const errors: unknown[] = [];
  const log = new MemoryLog({ clock });
  const hub = createHub({
    clock,
    log,
    random: () => 0.5,
    onClose: (_, reason) => closed.push(reason),
    onError: (error) => errors.push(error),
    ...options,
  });
  const publish = async (...data: string[]) => {
    const ids = data.map((each) => hub.publish("t", { data: each }));
    await clock.settle();
    return (await Promise.all(ids))[0]!;
  };
  return { clock, hub, log, closed, errors, publish };
}

/** The log, with some of its answers given otherwise. */
function changed(log: EventLog, change: Partial<Pick<EventLog, "read" | "position">>): EventLog {
  return {
    fault: null,
    append: (batch) => log.append(batch),
    read: (...query) => log.read(...query),
    position: (request) => log.position(request),
    tail: (listener) => log.tail(listener),
    bounds: () => log.bounds(),
    close: () => log.close(),
    ...change,
  };
}

/** A log whose answers to one kind of question come when they are told to; what they say is true when they are asked for. */
function held(log: EventLog, name: "read" | "position", isEarly = false) {
  const waiting: (() => void)[] = [];
  const hold = (...query: never[]) =>
    new Promise((resolve) => {
      const ask = () => (log[name] as (...query: never[]) => unknown)(...query);
      const early = isEarly ? ask() : null;
      waiting.push(() => resolve(early ?? ask()));
    });
  return { log: changed(log, { [name]: hold }), waiting };
}

test("a topic that begins anew while the log is asked whether it has ended is not over", async () => {
  const clock = new ManualClock();
  const { log, waiting } = held(new MemoryLog({ clock }), "position", true);
  const { hub } = setUp({ clock, log });
  const end = hub.publish("t", { end: true });
  await clock.settle();
  const opened = hub.open({ topics: ["t"], lastEventId: await end }) as Promise<Opening>;
  const published = hub.publish("t", { data: "new" });
  await clock.settle();
  await published;
  waiting.shift()!();
  const opening = await opened;
  expect(opening.over).toBe(false);
  const sink = new RecordingSink();
  opening.attach(sink);
  await clock.settle();
  expect(dataOf(sink)).toEqual(["new"]);
});

describe("between the opening of a stream and its sink", () => {
  test("a topic ends: the stream is given the end, and closes", async () => {
    const { clock, hub, closed, publish } = setUp();
    await publish("1");
    const opening = hub.open({ topics: ["t"] }) as Opening;
    void hub.publish("t", { data: "2", end: true });
    await clock.settle();
    const sink = new RecordingSink();
    opening.attach(sink);
    await clock.settle();
    expect(dataOf(sink)).toEqual(["2"]);
    expect(control(sink, "sse:end")).toEqual([{ topic: "t" }]);
    expect(closed).toEqual(["ended"]);
  });

  test("a topic begins anew: its streams stay open", async () => {
    const { clock, hub, closed, publish } = setUp();
    void hub.publish("t", { data: "1", end: true });
    await clock.settle();
    const opening = hub.open({ topics: ["t"] }) as Opening; // it has ended
    await publish("2");
    const other = connect(hub);
    const sink = new RecordingSink();
    const stream = opening.attach(sink);
    await clock.settle();
    await publish("3");
    expect([other.stream.state, stream.state, closed]).toEqual(["live", "live", []]);
    expect([dataOf(sink), dataOf(other.sink)]).toEqual([["2", "3"], ["3"]]);
  });

  test("whatever is published reaches the stream, however late the log answers, and whenever it looked", async () => {
    for (const isEarly of [true, false]) {
      const clock = new ManualClock();
      const { log, waiting } = held(new MemoryLog({ clock }), "position", isEarly);
      const hub = createHub({ clock, log });
      const first = hub.publish("t", { data: "0" });
      await clock.settle();
      const { sink } = Object.assign(connect(hub, { lastEventId: await first }));
      void hub.publish("t", { data: "1" });
      await clock.settle();
      waiting.shift()!();
      void hub.publish("t", { data: "2", end: true });
      await clock.settle();
      expect(dataOf(sink)).toEqual(["1", "2"]);
      expect(control(sink, "sse:end")).toEqual([{ topic: "t" }]);
      expect(sink.ended).toBe("closed");
    }
  });

  test("the hub closes: the stream is told to come back, with the id that it came with", async () => {
    const { clock, hub, publish } = setUp();
    const lastEventId = await publish("1");
    const openings = [lastEventId, "", "what\nis this", "é", "x".repeat(129)].map(
      (id) => hub.open({ topics: ["t"], lastEventId: id }) as Opening,
    );
    const done = hub.close();
    await clock.settle();
    await done;
    const ids = openings.map((opening) => {
      const sink = new RecordingSink();
      opening.attach(sink);
      expect(control(sink, "sse:closing")).toMatchObject([{ reason: "drain" }]);
      expect(sink.ended).toBe("closed");
      return /^id: (.*)$/m.exec(sink.text)?.[1];
    });
    expect(ids).toEqual([lastEventId, lastEventId, undefined, undefined, undefined]);
  });

  test("nobody comes: it is cancelled after some seconds, and gives back what it took", async () => {
    const { clock, hub, closed } = setUp({ maxStreams: 1 });
    const opening = hub.open({ topics: ["t"] }) as Opening;
    expect(() => hub.open({ topics: ["t"] })).toThrow("takes no more");
    await clock.advance(15_000);
    expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0 });
    expect(closed).toEqual([]);
    const sink = new RecordingSink();
    expect(opening.attach(sink).state).toBe("closed");
    expect(sink.ended).toBe("closed");
    const next = hub.open({ topics: ["t"] }) as Opening;
    next.cancel();
    next.cancel();
    expect(hub.stats().streams).toBe(0);
  });

  test("the client goes while the log is asked: what the stream took is given back at once", async () => {
    const clock = new ManualClock();
    const { log, waiting } = held(new MemoryLog({ clock }), "position");
    const hub = createHub({ clock, log, maxStreams: 1 });
    for (const isLate of [true, false]) {
      const controller = new AbortController();
      if (!isLate) controller.abort();
      const opening = hub.open({ topics: ["t"], signal: controller.signal }) as Promise<Opening>;
      controller.abort();
      expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0 });
      waiting.shift()!();
      await expect(opening).rejects.toThrow("connect again later");
    }
  });

  test("nothing is left on a signal that outlives the question", async () => {
    const clock = new ManualClock();
    const { log, waiting } = held(new MemoryLog({ clock }), "position");
    const hub = createHub({ clock, log });
    const { signal } = new AbortController();
    const { sink } = connect(hub, { signal });
    expect(getEventListeners(signal, "abort").length).toBe(1);
    waiting.shift()!();
    await clock.settle();
    expect(control(sink, "sse:ready").length).toBe(1);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("the log cannot answer: nothing is left of the stream", async () => {
    for (const position of [
      () => {
        throw new Error("disk");
      },
      () => Promise.reject(new Error("disk")),
    ]) {
      const { hub } = setUp({ log: changed(new MemoryLog(), { position }) });
      const open = async () => hub.open({ topics: ["t"] });
      await expect(open()).rejects.toThrow("the log cannot be asked where the stream begins: Error: disk");
      expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0 });
    }
  });
});

test("a log that begins anew under a stream that is not to catch up: it comes back with the id of before", async () => {
  const clock = new ManualClock();
  const log = new MortalLog(new MemoryLog({ clock }));
  const hub = createHub({ clock, log });
  const { sink } = connect(hub, { lag: "disconnect" });
  sink.stall();
  const first = hub.publish("t", { data: "1" });
  await clock.settle();
  log.reset(new MemoryLog({ clock }));
  sink.release();
  await clock.settle();
  const [, closing] = sink.text.split("event: sse:closing");
  expect(/^id: (.*)$/m.exec(closing!)![1]!).toBe(await first);
});

describe("the log answers, and a moment later, before anything is done with it,", () => {
  const moments = [0, 1, 2, 3, 4];
  /** Turns of the event loop, in a number that also a hub without rest comes to the end of, and answers to all questions. */
  const turns = async (clock: ManualClock, waiting: (() => void)[]): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) {
      waiting.shift()?.();
      clock.turn();
      for (let i = 0; i < 8; i++) await Promise.resolve();
    }
  };

  test.each(moments)("begins anew (%d): nothing of the new epoch is missing", async (moment) => {
    for (const isAttached of [false, true]) {
      const clock = new ManualClock();
      const mortal = new MortalLog(new MemoryLog({ clock }));
      const { log, waiting } = held(mortal, "position", true);
      const hub = createHub({ clock, log });
      const ids = ["1", "2", "3"].map((data) => hub.publish("t", { data }));
      await clock.settle();
      const opened = hub.open({ topics: ["t"], lastEventId: await ids[2]! });
      const sink = new RecordingSink();
      void Promise.resolve(opened).then((opening) => opening.attach(sink));
      if (isAttached) {
        waiting.shift()!();
        await opened;
        mortal.reset(new MemoryLog({ clock })); // it has to ask again, now that it has a sink
        await clock.settle();
      }
      waiting.shift()!();
      for (let i = 0; i < moment; i++) await Promise.resolve();
      mortal.reset(new MemoryLog({ clock }));
      void hub.publish("t", { data: "4" });
      await turns(clock, waiting);
      expect(dataOf(sink)).toEqual(["4"]);
      expect(sink.text).toContain('"reason":"epoch"');
    }
  });

  test.each(moments)("the hub closes (%d): the stream is refused, or told to come back", async (moment) => {
    const clock = new ManualClock();
    const { log, waiting } = held(new MemoryLog({ clock }), "position");
    const hub = createHub({ clock, log });
    const connection = connect(hub);
    waiting.shift()!();
    for (let i = 0; i < moment; i++) await Promise.resolve();
    await Promise.all([hub.close(), clock.settle()]);
    if (connection.refused === null) expect(connection.sink.ended).toBe("closed");
    else expect(connection.refused).toMatchObject({ code: "closed" });
  });
});

test("a topic that begins anew between two streams that find the same events gone stays open", async () => {
  const clock = new ManualClock();
  const { log, waiting } = held(new MemoryLog({ clock, maxAge: 1000 }), "read");
  const hub = createHub({ clock, log });
  const publish = async (topic: string, data: string, end = false) => {
    const id = hub.publish(topic, end ? { end } : { data });
    await clock.settle();
    return await id;
  };
  const lastEventId = await publish("t", "1");
  await publish("t", "2");
  const streams = [];
  for (let at = 0; at < 2; at++) {
    streams.push(connect(hub, { topics: ["t", "v"], lastEventId }));
    await clock.settle(); // reads in a turn of its own
  }
  await publish("t", "", true);
  await clock.advance(2000); // all of it is evicted
  const answer = async () => {
    waiting.shift()!();
    for (let i = 0; i < 8; i++) await Promise.resolve(); // and nothing else goes on
  };
  await answer();
  expect(streams.map(({ stream }) => stream.state)).toEqual(["live", "catching-up"]);
  void hub.publish("t", { data: "3" });
  clock.turn(); // it is in the log, and has yet to be sent
  for (; waiting.length > 0; await clock.settle()) await answer();
  await publish("v", "", true);
  await publish("t", "4");
  for (const { sink } of streams) {
    expect(dataOf(sink)).toEqual(["3", "4"]);
    expect(sink.ended).toBeNull();
  }
});

describe("a read that is under way", () => {
  test("while a heartbeat blocks and unblocks: nothing comes twice", async () => {
    const clock = new ManualClock();
    const { log, waiting } = held(new MemoryLog({ clock }), "read");
    const hub = createHub({ log, clock, random: () => 0.5, maxFrameBytes: 100 });
    const ids = Array.from({ length: 10 }, (_, at) => hub.publish("t", { data: `${at}` }));
    await clock.settle();
    const { sink, stream } = connect(hub, { lastEventId: await ids[0]! });
    await clock.settle();
    expect([waiting.length, stream.state]).toEqual([1, "catching-up"]);
    sink.stall();
    await clock.advance(15_000); // a heartbeat, which blocks
    expect(stream.state).toBe("blocked");
    sink.release();
    await clock.settle();
    expect(waiting.length).toBe(1);
    for (let at = 0; at < 40; at++) {
      waiting.shift()?.();
      await clock.settle();
      expect(waiting.length).toBeLessThan(2);
    }
    expect(dataOf(sink)).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  });

  test("that is late: the deadline of its write counts from the write", async () => {
    const clock = new ManualClock();
    const { log, waiting } = held(new MemoryLog({ clock }), "read");
    const hub = createHub({ log, clock, random: () => 0.5, writeDeadline: 30_000 });
    const first = hub.publish("t", { data: "0" });
    void hub.publish("t", { data: "1" });
    await clock.settle();
    const { sink, stream } = connect(hub, { lastEventId: await first });
    await clock.settle();
    await clock.advance(12_000);
    sink.stall();
    waiting.shift()!();
    await clock.settle();
    expect(stream.state).toBe("blocked");
    await clock.advance(29_000);
    expect(stream.state).toBe("blocked");
    await clock.advance(3000);
    expect(stream.state).toBe("closed");
  });
});

test("a topic that begins anew while a stream is asking where it goes on stays open", async () => {
  const clock = new ManualClock();
  const memory = new MemoryLog({ clock, maxEvents: 3 });
  const { log, waiting } = held(memory, "position", true);
  const hub = createHub({ clock, log });
  const { sink } = connect(hub, { topics: ["t", "v"] });
  const publish = async (topic: string, data: string, end = false) => {
    void hub.publish(topic, { data, end });
    await clock.settle();
  };
  waiting.shift()!();
  await clock.settle();
  sink.stall();
  await publish("v", "1");
  await publish("t", "2", true);
  for (const data of ["3", "4", "5"]) await publish("u", data);
  sink.release();
  await clock.settle();
  expect(waiting.length).toBe(1); // its events are gone; t has ended, says the log
  await publish("t", "6");
  waiting.shift()!();
  await clock.settle();
  await publish("v", "7", true);
  await publish("t", "8");
  expect(dataOf(sink)).toEqual(["1", "6", "7", "8"]);
  expect(control(sink, "sse:end")).toEqual([{ topic: "t" }, { topic: "v" }]);
  expect(sink.ended).toBeNull();
});

test("a log that goes on in another epoch tells no end again", async () => {
  const clock = new ManualClock();
  const memory = new MemoryLog({ clock });
  const { epoch: first } = memory.bounds();
  let epoch = first;
  const begun: TailListener[] = [];
  // As one in a file that begins its epoch late, since the disk was full: every id of before is good.
  const log: EventLog = {
    ...changed(memory, {
      position: (request) => ({
        ...(memory.position({
          ...request,
          lastEventId: request.lastEventId.replace(/^[^-]+/, first),
        }) as Position),
        epoch,
      }),
    }),
    bounds: () => ({ ...memory.bounds(), epoch }),
    tail: (listener) => {
      begun.push(listener);
      return memory.tail(listener);
    },
  };
  const hub = createHub({ clock, log });
  void hub.end("t");
  await clock.settle();
  const { sink } = connect(hub, { topics: ["t", "u"] });
  await clock.settle();
  epoch = "0123456789";
  begun[0]!.reset();
  await clock.settle();
  void hub.publish("u", { data: "1" });
  await clock.settle();
  expect(dataOf(sink)).toEqual(["1"]);
  expect([control(sink, "sse:end").length, control(sink, "sse:gap").length]).toEqual([1, 0]);
});

test("a topic that has begun anew in the log, and not yet here, closes no stream that was told nothing", async () => {
  const clock = new ManualClock();
  const memory = new MemoryLog({ clock });
  let isAnew = false;
  // As a broker answers: it has an event of the topic that has yet to come.
  const position: EventLog["position"] = (request) => {
    const found = memory.position(request) as Position;
    return isAnew ? { ...found, ends: [0] } : found;
  };
  const hub = createHub({ clock, log: changed(memory, { position }) });
  void hub.end("t");
  await clock.settle();
  void hub.open({ topics: ["t"] }); // has its place in the cohort
  const { sink: first } = connect(hub);
  await clock.settle();
  isAnew = true;
  const { sink } = connect(hub);
  await clock.settle();
  expect([control(first, "sse:end").length, first.ended]).toEqual([1, "closed"]);
  expect([control(sink, "sse:end").length, sink.ended]).toEqual([0, null]);
});

describe("what throws harms one stream, and is reported", () => {
  const thrown = new Error("of the user");
  const fail = (): never => {
    throw thrown;
  };

  test.each([fail, () => Promise.reject(thrown)])("a callback for closed streams", async (onClose) => {
    // oxlint-disable-next-line typescript/no-misused-promises -- users hand in what rejects as well
    const { clock, hub, errors, publish } = setUp({ onClose });
    const [one, other] = [connect(hub), connect(hub)];
    other.sink.vanish();
    for (const data of ["1", "2", "3"]) await publish(data);
    await clock.settle();
    expect(dataOf(one.sink)).toEqual(["1", "2", "3"]);
    expect(errors).toEqual([thrown]);
  });

  test("an observer: what was published is answered", async () => {
    const { hub, errors, publish } = setUp({ observer: { committed: fail, fannedOut: fail } });
    const { sink } = connect(hub);
    await publish("1");
    await publish("2");
    expect(dataOf(sink)).toEqual(["1", "2"]);
    expect(new Set(errors)).toEqual(new Set([thrown]));
  });

  test("a listener to the tail of the log: the hub is told all the same", async () => {
    const clock = new ManualClock();
    const log = new MemoryLog({ clock });
    log.tail({ append: fail, reset: fail, skip: fail });
    const told = spyOn(console, "error").mockImplementation(() => {});
    const { publish, hub } = setUp({ log });
    const { sink } = connect(hub);
    expect(await publish("1")).toMatch(/-1$/);
    expect(dataOf(sink)).toEqual(["1"]);
    expect(told.mock.calls).toEqual([[thrown]]);
    told.mockRestore();
  });

  test("a log that cannot be read: the stream that asked ends, and no other waits for it", async () => {
    for (const failure of [fail, () => Promise.reject(thrown)]) {
      const memory = new MemoryLog();
      let isBroken = false;
      const log = changed(memory, { read: (...query) => (isBroken ? failure() : memory.read(...query)) });
      const { clock, hub, closed, errors } = setUp({ log });
      const first = hub.publish("t", { data: "0" });
      await clock.settle();
      void hub.publish("t", { data: "1" });
      void hub.publish("u", { data: "1" });
      await clock.settle();
      const one = connect(hub, { topics: ["t"], lastEventId: await first });
      isBroken = true;
      await clock.settle();
      isBroken = false;
      const two = connect(hub, { topics: ["u"], lastEventId: await first });
      await clock.settle();
      expect([closed, one.stream.state, two.stream.state]).toEqual([["error"], "closed", "live"]);
      expect(dataOf(two.sink)).toEqual(["1"]);
      expect(errors).toEqual([thrown]);
    }
  });

  test("a sink", async () => {
    const { hub, closed, errors, publish } = setUp();
    const one = connect(hub);
    const opening = hub.open({ topics: ["t"] }) as Opening;
    opening.attach({ write: fail, close: fail, abort: fail });
    await publish("1");
    expect(dataOf(one.sink)).toEqual(["1"]);
    expect([closed, errors]).toEqual([["error"], [thrown]]);
  });

  test("a sink whose last write fails when its stream is closed already", async () => {
    const { hub, clock, closed } = setUp();
    const { promise, reject } = Promise.withResolvers<void>();
    const opening = hub.open({ topics: ["t"] }) as Opening;
    const write = (frame: Uint8Array) =>
      new TextDecoder().decode(frame).includes("sse:closing") ? promise : frame.byteLength;
    opening.attach({ write, close: () => {}, abort: () => {} });
    hub.drain({ within: 0 });
    reject(thrown); // with nobody to handle it, it would end the process, and here the test
    await clock.settle();
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toEqual(["drain"]);
  });
});

describe("streams that missed the same events, and are given them over several turns", () => {
  /** Three streams, one of which is given something in each turn. */
  async function threeBehind(log: EventLog) {
    const { clock, hub, publish } = setUp({ log, writesPerTurn: 1, maxFrameBytes: 60 });
    await publish("1", "2", "3", "4");
    const request = { topics: ["t"], replay: "all" } as const;
    return { clock, hub, publish, sinks: [0, 1, 2].map(() => connect(hub, request).sink) };
  }

  test("are given what one read found", async () => {
    const log = new MemoryLog();
    const read = spyOn(log, "read");
    const { clock, publish, sinks } = await threeBehind(log);
    clock.turn();
    await publish("5"); // what was read before it is as good as ever
    for (const sink of sinks) expect(dataOf(sink)).toEqual(["1", "2", "3", "4", "5"]);
    const asked = read.mock.calls.map(([after]) => after);
    expect(asked).toEqual([...new Set(asked)]);
  });

  test("are given nothing of what was read of the log before it began anew", async () => {
    const clock = new ManualClock();
    const log = new MortalLog(new MemoryLog({ clock }));
    const { hub, sinks, clock: turns } = await threeBehind(log);
    turns.turn();
    expect(sinks.map(dataOf)).toEqual([["1", "2"], [], []]);
    const next = new MemoryLog({ clock });
    const t = { topic: parseTopic("t"), type: "", json: false, key: "", idempotencyKey: "", end: false };
    next.append([
      { ...t, data: "a" },
      { ...t, data: "b" },
      { ...t, data: "c" },
      { ...t, data: "d" },
    ]);
    log.reset(next);
    await turns.settle();
    expect(sinks.map((sink) => dataOf(sink).join(""))).toEqual(["12abcd", "abcd", "abcd"]);
    expect(hub.stats().gaps.epoch).toBe(3);
  });

  test("that one read could not find: the others ask again", async () => {
    const memory = new MemoryLog();
    let isBroken = true;
    const failure = () => Promise.reject(new Error("the store is gone"));
    const read: EventLog["read"] = (...query) =>
      isBroken ? failure() : Promise.resolve(memory.read(...query));
    const { clock, sinks } = await threeBehind(changed(memory, { read }));
    clock.turn();
    for (let i = 0; i < 8; i++) await Promise.resolve();
    isBroken = false;
    await clock.settle();
    expect(sinks.map((sink) => dataOf(sink).join(""))).toEqual(["", "1234", "1234"]);
  });
});

test("events that are published again are not counted again", async () => {
  const { clock, hub } = setUp();
  const publish = () => hub.publish("t", { data: "1", id: "same" });
  void publish();
  void publish();
  await clock.settle();
  void publish();
  void hub.publish("t", { data: "2" });
  await clock.settle();
  expect(hub.stats()).toMatchObject({ published: 2, log: { events: 2 } });
});

test("nor are those that are published again before the log has answered", async () => {
  const clock = new ManualClock();
  const memory = new MemoryLog({ clock });
  const append: EventLog["append"] = async (batch) => {
    for (let turns = 20; turns > 0; turns--) await Promise.resolve();
    return memory.append(batch);
  };
  const { hub } = setUp({ clock, log: { ...changed(memory, {}), append, maxAppend: 1 } });
  for (const id of ["same", "same", "other"]) void hub.publish("t", { data: "1", id });
  await clock.settle();
  for (let i = 0; i < 200; i++) await Promise.resolve();
  expect(hub.stats()).toMatchObject({ published: 2, log: { events: 2 } });
});

test("a publisher's id of an event that is past its age is free again", async () => {
  const clock = new ManualClock();
  const hub = createHub({ clock, log: new MemoryLog({ clock, maxAge: 1000 }) });
  const publish = async () => {
    const id = hub.publish("t", { data: "daily", id: "daily" });
    await clock.settle();
    return await id;
  };
  const first = await publish();
  await clock.advance(1500);
  expect(await publish()).not.toBe(first);
});

describe("a stream of a topic whose end is evicted", () => {
  test("is told the gap, then the end, and closes, also when it falls behind on the way", async () => {
    const clock = new ManualClock();
    const hub = createHub({ clock, log: new MemoryLog({ clock, maxEvents: 3 }), random: () => 0.5 });
    const first = hub.publish("t", { data: "0" });
    await clock.settle();
    const slow = connect(hub, { topics: ["t"] });
    slow.sink.stall();
    void hub.publish("t", { data: "1" });
    await clock.settle();
    void hub.publish("t", { data: "2", end: true });
    for (let at = 0; at < 5; at++) void hub.publish("u", { data: `${at}` });
    await clock.settle();
    slow.sink.release();
    const late = connect(hub, { topics: ["t"], lastEventId: await first });
    await clock.settle();
    for (const { sink } of [slow, late]) {
      expect(control(sink, "sse:gap")).toMatchObject([{ reason: "evicted" }]);
      expect(control(sink, "sse:end")).toEqual([{ topic: "t" }]);
      expect(sink.text.indexOf("sse:gap")).toBeLessThan(sink.text.indexOf("sse:end"));
      expect(sink.ended).toBe("closed");
    }
    const lastEventId = /^id: (.*)$/m.exec(late.sink.text.slice(late.sink.text.indexOf("sse:end")))![1]!;
    expect(await hub.open({ topics: ["t"], lastEventId })).toMatchObject({ over: true });
  });
});
