import { expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import { connect } from "../test/client.ts";
import { ManualClock } from "./testing/manual-clock.ts";
import { createHub } from "./index.ts";

const count = (type: string): number => {
  Bun.gc(true);
  return heapStats().objectTypeCounts[type] ?? 0;
};

test("10,000 connects and disconnects leave no stream, cohort, timer or buffer", async () => {
  const clock = new ManualClock();
  const hub = createHub({ clock, writeDeadline: 10_000 });
  const before = { streams: count("Stream"), sinks: count("RecordingSink"), cohorts: count("Cohort") };
  const timers = clock.timers;
  for (let round = 0; round < 10; round++) {
    const connections = Array.from({ length: 1000 }, (_, at) =>
      connect(hub, { topics: [`t/${at % 300}`, "all", "p/*"], lag: at % 2 === 0 ? "latest" : "catch-up" }),
    );
    await clock.settle();
    for (const { sink } of connections.slice(0, 250)) sink.stall();
    const published = hub.publish("all", { data: "x".repeat(10_000) });
    await clock.settle();
    await published;
    // A quarter each: past the deadline, hung up, found gone by a write, hung up while catching up.
    await clock.advance(15_000);
    for (const { stream } of connections.slice(250, 500)) stream.gone();
    for (const { sink } of connections.slice(500, 750)) sink.vanish();
    for (const { sink } of connections.slice(750)) sink.stall();
    const more = hub.publish("all", { data: "y" });
    await clock.settle();
    await more;
    for (const { sink, stream } of connections.slice(750)) {
      sink.release();
      stream.gone();
    }
    await clock.settle();
  }
  expect(hub.stats()).toMatchObject({ streams: 0, cohorts: 0, blocked: 0, catchingUp: 0 });
  expect(Object.values(hub.stats().closes).reduce((sum, closes) => sum + closes)).toBe(10_000);
  expect(clock.timers).toBe(timers);
  // A handful may still stand on the machine's stack.
  expect(count("Stream") - before.streams).toBeLessThan(10);
  expect(count("RecordingSink") - before.sinks).toBeLessThan(10);
  expect(count("Cohort") - before.cohorts).toBeLessThan(10);
});
