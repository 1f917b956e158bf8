import { describe, expect, test } from "bun:test";
import { connect, control, dataOf } from "../../test/client.ts";
import { createHub, MemoryLog } from "../index.ts";
import { ManualClock } from "../testing/manual-clock.ts";

/* Many streams that are closed together: some in each turn of the event loop. */

const STREAMS = 200;

function setUp(options: { writesPerTurn?: number; turnSteps?: number } = {}) {
  const { turnSteps = 16_000, ...others } = options;
  const clock = new ManualClock({ turnSteps });
  const closed: string[] = [];
  const log = new MemoryLog({ clock });
  const hub = createHub({ clock, log, onClose: (_, reason) => closed.push(reason), ...others });
  const clients = Array.from({ length: STREAMS }, (_, at) =>
    connect(hub, { topics: at % 2 ? ["t"] : ["t", "b"] }),
  );
  return { clock, hub, clients, closed };
}

/** The most streams that were closed in one turn. */
async function mostInATurn(clock: ManualClock, closed: readonly string[]): Promise<number> {
  let most = 0;
  for (let idle = 0; idle < 3;) {
    const before = closed.length;
    idle = clock.turn() ? 0 : idle + 1;
    for (let i = 0; i < 8; i++) await Promise.resolve();
    most = Math.max(most, closed.length - before);
  }
  return most;
}

test("when a topic ends, each turn closes some of its streams, and each is told once", async () => {
  const { clock, hub, clients, closed } = setUp({ writesPerTurn: 20 });
  await clock.settle();
  void hub.publish("t", { data: "1" });
  void hub.end("t");
  expect(await mostInATurn(clock, closed)).toBeLessThanOrEqual(10);
  expect(closed).toHaveLength(STREAMS / 2);
  expect(new Set(closed)).toEqual(new Set(["ended"]));
  for (const [at, { sink }] of clients.entries()) {
    expect(dataOf(sink)).toEqual(["1"]);
    expect(control(sink, "sse:end")).toEqual([{ topic: "t" }]);
    expect(sink.ended).toBe(at % 2 ? "closed" : null);
  }
});

test("a topic that begins anew while its streams are closed goes on with those that are left", async () => {
  const { clock, hub, clients, closed } = setUp({ writesPerTurn: 20 });
  await clock.settle();
  void hub.end("t");
  while (closed.length < 10) clock.turn();
  void hub.publish("t", { data: "new" });
  await clock.settle();
  const open = clients.filter(({ sink }) => sink.ended === null);
  expect(open.length).toBeGreaterThan(STREAMS / 2);
  for (const { sink } of open) expect(dataOf(sink)).toEqual(["new"]);
  for (const { sink } of clients) expect(control(sink, "sse:end")).toEqual([{ topic: "t" }]);
  void hub.end("t");
  await clock.settle();
  expect(clients.filter(({ sink }) => sink.ended === null)).toHaveLength(STREAMS / 2);
});

test("streams that come, stall or leave while others are closed", async () => {
  const { clock, hub, clients, closed } = setUp({ writesPerTurn: 20 });
  await clock.settle();
  const stalled = clients.slice(100, 110);
  for (const { sink } of stalled) sink.stall();
  void hub.end("t");
  while (closed.length < 10) clock.turn();
  for (const { stream } of clients.slice(0, 10)) stream.gone();
  const late = connect(hub, { topics: ["t"], replay: "all" });
  await clock.settle();
  for (const { sink } of stalled) sink.release();
  await clock.settle();
  expect(late.sink.ended).toBe("closed");
  expect(control(late.sink, "sse:end")).toEqual([{ topic: "t" }]);
  expect(closed.filter((reason) => reason === "client")).toHaveLength(10);
  expect(clients.filter(({ sink }) => sink.ended === "closed").length).toBeGreaterThanOrEqual(95);
  for (const { sink } of stalled) expect(control(sink, "sse:end")).toEqual([{ topic: "t" }]);
  expect(hub.stats().streams).toBe(STREAMS / 2 - 5);
});

describe("in as few turns as it takes", () => {
  const most = 10;

  test("a drain", async () => {
    const { clock, hub, clients, closed } = setUp();
    await clock.settle();
    hub.drain({ within: 0 });
    const late = connect(hub);
    expect(await mostInATurn(clock, closed)).toBeLessThanOrEqual(most);
    expect(closed).toEqual(clients.map(() => "drain"));
    for (const { sink } of clients) expect(control(sink, "sse:closing")).toMatchObject([{ reason: "drain" }]);
    expect(late.sink.ended).toBeNull();
  });

  test("the hub's close, and that of a namespace", async () => {
    const { clock, hub, clients, closed } = setUp();
    const namespace = hub.namespace(new MemoryLog({ clock }));
    for (let at = 0; at < 50; at++) clients.push(connect(namespace));
    await clock.settle();
    let isClosed = false;
    const done = hub.close().then(() => (isClosed = true));
    expect(await mostInATurn(clock, closed)).toBeLessThanOrEqual(most * 2);
    expect(isClosed).toBeTrue();
    await done;
    expect(closed.filter((reason) => reason === "drain")).toHaveLength(clients.length);
    for (const { sink } of clients) expect(control(sink, "sse:closing")).toMatchObject([{ reason: "drain" }]);
  });
});
