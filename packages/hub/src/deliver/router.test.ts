import { describe, expect, spyOn, test } from "bun:test";
import { connect, control, dataOf } from "../../test/client.ts";
import { MortalLog } from "../../test/mortal-log.ts";
import { createHub, type EventLog, MemoryLog, parseTopic, type StreamRequest } from "../index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { newEvent } from "../testing/log-contract.ts";
import { Cohort } from "./cohort.ts";
import { Cohorts } from "./cohorts.ts";

/* Events that are handed to the streams over several turns of the event loop. */

const number = (count: number): string[] => Array.from({ length: count }, (_, at) => `${at}`);

/** @param turnSteps by default those of one node or one cohort */
function setUp(
  turnSteps = 1,
  log: (clock: ManualClock) => EventLog = (clock) => new MemoryLog({ clock }),
  writesPerTurn?: number,
) {
  const clock = new ManualClock({ turnSteps });
  const kept = log(clock);
  const hub = createHub({ clock, log: kept, random: () => 0.5, writesPerTurn });
  const publish = (topic: string, ...data: string[]) =>
    hub.publishMany(data.map((each) => ({ topic, data: each })));
  return { clock, log: kept, hub, publish };
}

/** Turns, and does something before each, until nothing is left to do. */
async function turns(clock: ManualClock, each: (turn: number) => void): Promise<number> {
  for (let turn = 0, idle = 0; ; turn++) {
    each(turn);
    idle = clock.turn() ? 0 : idle + 1;
    for (let i = 0; i < 8; i++) await Promise.resolve();
    if (idle === 3) return turn;
  }
}

test("no turn hands out more than its steps allow, and everybody has everything in order and once", async () => {
  const { clock, hub, publish } = setUp(80);
  const patterns = ["t/*", "*/x", "**", "t/**", "*/*", "none/*"];
  const clients = patterns.map((pattern) => connect(hub, { topics: [pattern] }));
  for (let at = 0; at < 20; at++) connect(hub, { topics: ["t/x", `private/${at}`] });
  await clock.settle();
  const take = spyOn(Cohort.prototype, "take");
  void publish("t/x", ...number(30));
  let most = 0;
  await turns(clock, () => {
    most = Math.max(most, take.mock.calls.length);
    take.mockClear();
  });
  take.mockRestore();
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(2 * (80 / 8)); // what is left of the turn before, and this one's
  for (const { sink } of clients.slice(0, -1)) expect(dataOf(sink)).toEqual(number(30));
  expect(dataOf(clients.at(-1)!.sink)).toEqual([]);
});

test("a topic is looked up among the patterns over several turns, too", async () => {
  const { clock, hub, publish } = setUp(80);
  const segments = "a/".repeat(200);
  const wanted = connect(hub, { topics: [`${segments}*`] });
  const other = connect(hub, { topics: [`${"*/".repeat(200)}b`] });
  await clock.settle();
  void publish(`${segments}x`, "1");
  const taken = await turns(clock, () => {});
  expect(taken).toBeGreaterThan((2 * 200 * 8) / 80);
  expect([dataOf(wanted.sink), dataOf(other.sink)]).toEqual([["1"], []]);
});

describe.each([
  ["with the same selectors", () => ["t", "b"]],
  ["with other patterns", () => ["*", "**"]],
  ["each with patterns of its own", (turn: number) => ["*", `${turn}/**`]],
  ["each with topics of its own", (turn: number) => ["t", `${turn}`]],
])("streams that come and go while events are handed out, %s", (...[, topicsOf]) => {
  const request = (kind: number, first: string, turn: number): StreamRequest => {
    const topics = topicsOf(turn);
    return [
      { topics },
      { topics, replay: "all" as const },
      { topics, lastEventId: first },
      { topics, replay: 3 },
    ][kind]!;
  };

  test.each([0, 1, 2, 3])("%p", async (kind) => {
    const { clock, hub, publish } = setUp();
    const others = ["t", "*", "**", "t"].map((topic) => connect(hub, { topics: [topic, "b"] }));
    for (let at = 0; at < 5; at++) connect(hub, { topics: ["t", `private/${at}`] });
    const first = await Promise.all([publish("t", "-2", "-1"), clock.settle()]).then(([ids]) => ids[0]!);
    void publish("t", ...number(20));
    const came: { sink: (typeof others)[number]["sink"]; last: number }[] = [];
    await turns(clock, (turn) => {
      if (turn > 60) return;
      const client = connect(hub, request(kind, first, turn));
      came.push({ sink: client.sink, last: 0 });
      const brief = connect(hub, request(kind, first, turn));
      if (brief.opening !== null) brief.stream.gone();
    });
    void publish("t", "20");
    await clock.settle();
    const all = ["-2", "-1", ...number(21)];
    for (const { sink } of others) expect(dataOf(sink)).toEqual(all);
    for (const { sink } of came) {
      const data = dataOf(sink);
      expect(data).toEqual(all.slice(all.length - data.length));
      expect(control(sink, "sse:gap")).toEqual([]);
      if (kind === 1) expect(data).toEqual(all);
      if (kind === 2) expect(data).toEqual(all.slice(1));
      if (kind === 3) expect(data.length).toBeGreaterThanOrEqual(4);
    }
  });
});

test("a stream that is opened while an end is on its way does not close those who have yet to be told of it", async () => {
  const { clock, hub, publish } = setUp(1, undefined, 1);
  for (let at = 0; at < 30; at++) connect(hub, { topics: ["t", `private/${at}`] }).sink.stall();
  await clock.settle();
  void publish("t", "nobody is sent more than this, and each event takes 30 turns");
  await clock.settle();
  const clients = number(8).map(() => connect(hub));
  await clock.settle();
  void publish("t", ...number(5));
  void hub.publish("t", { end: true });
  await turns(clock, (turn) => turn < 100 && connect(hub));
  for (const { sink } of clients) {
    expect(dataOf(sink)).toEqual(number(5));
    expect(control(sink, "sse:end")).toEqual([{ topic: "t" }]);
    expect(sink.ended).toBe("closed");
  }
});

test("an end that a stream has jumped over, and was not told of, does not close it while it is handed out", async () => {
  const { clock, log, hub } = setUp(1, (its) => new MemoryLog({ clock: its, maxEvents: 3 }));
  for (let at = 0; at < 20; at++) connect(hub, { topics: ["a", `private/${at}`] });
  await clock.settle();
  void hub.publishMany([
    { topic: "a", data: "1" },
    { topic: "a", end: true },
    { topic: "b", data: "1" },
    { topic: "b", end: true },
    { topic: "a", data: "2" },
    { topic: "a", data: "3" },
  ]);
  clock.turn();
  const { sink } = connect(hub, { topics: ["a", "b"], lastEventId: `${log.bounds().epoch}-0` });
  expect(control(sink, "sse:gap")).toMatchObject([{ reason: "evicted" }]);
  await clock.settle();
  expect(control(sink, "sse:end")).toEqual([{ topic: "b" }]);
  expect([dataOf(sink), sink.ended]).toEqual([["2", "3"], null]);
});

test("204 is not for a client of a topic that has begun anew, as its stream would be told in a turn to come", async () => {
  const { clock, log, hub, publish } = setUp();
  await Promise.all([hub.end("t"), clock.settle()]);
  const lastEventId = `${log.bounds().epoch}-${log.bounds().last}`;
  for (let at = 0; at < 20; at++) connect(hub, { topics: ["t", `private/${at}`] });
  await clock.settle();
  // As a file answers: with what was there when it was asked, a turn later.
  const position = log.position.bind(log);
  log.position = async (request) => {
    const found = position(request);
    await new Promise<void>((resolve) => clock.defer(resolve));
    return found;
  };
  const client = connect(hub, { topics: ["t"], lastEventId });
  void publish("t", ...number(3));
  clock.turn();
  await turns(clock, () => {});
  expect(client.opening!.over).toBeFalse();
  expect(dataOf(client.sink)).toEqual(number(3));
});

test("events that wait are not handed out once the log has begun anew", async () => {
  const clocks = new ManualClock();
  let log: MortalLog;
  const { clock, hub, publish } = setUp(1, (its) => (log = new MortalLog(new MemoryLog({ clock: its }))));
  const clients = ["t", "*", "**"].map((topic) => connect(hub, { topics: [topic] }));
  await clock.settle();
  void publish("t", ...number(20));
  for (let turn = 0; turn < 10; turn++) clock.turn();
  const next = new MemoryLog({ clock: clocks });
  next.append([newEvent("t", "new")]);
  log!.reset(next);
  await clock.settle();
  for (const { sink } of clients) {
    const data = dataOf(sink);
    expect(data).toEqual([...number(data.length - 1), "new"]);
    expect(control(sink, "sse:gap")).toMatchObject([{ reason: "epoch" }]);
  }
});

test("when too much waits to be handed out, streams read the log", async () => {
  const { clock, hub, publish } = setUp();
  const clients = ["t", "*", "**"].map((topic) => connect(hub, { topics: [topic] }));
  await clock.settle();
  const data = Array.from({ length: 70 }, (_, at) => `${at}${"x".repeat(2 ** 19)}`);
  for (const each of data) void publish("t", each);
  await clock.settle();
  for (const { sink } of clients) {
    expect(dataOf(sink).map((each) => each.length)).toEqual(data.map((each) => each.length));
    expect(dataOf(sink)).toEqual(data);
    expect(control(sink, "sse:gap")).toEqual([]);
  }
});

test("a cohort is found by each of its patterns as long as it has streams, and is counted once", () => {
  const { hub } = setUp();
  const { stream } = connect(hub, { topics: ["a/*", "*/b", "a/b", "a/**", "b"] });
  expect([hub.listeners("a/b"), hub.listeners("a/c/d"), hub.listeners("a"), hub.listeners("c/b")]).toEqual([
    1, 1, 0, 1,
  ]);
  stream.gone();
  expect(hub.listeners("a/b")).toBe(0);
  expect(new Cohorts().members(parseTopic("a/b"))).toBe(0);
});
