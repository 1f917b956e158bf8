import { expect, test } from "bun:test";
import { connect, control, dataOf, decode } from "../test/client.ts";
import { ManualClock } from "./testing/manual-clock.ts";
import { createHub, type HubOptions, MemoryLog } from "./index.ts";

/* Streams whose permission to read ends. */

function setUp(options: HubOptions = {}) {
  const clock = new ManualClock();
  const closed: string[] = [];
  const hub = createHub({
    clock,
    log: new MemoryLog({ clock }),
    random: () => 0.5,
    onClose: (_, reason) => closed.push(reason),
    ...options,
  });
  return { clock, hub, closed };
}

test("a stream ends within a second of its permission, is told why, and goes on at its cursor", async () => {
  const { clock, hub, closed } = setUp({ heartbeat: null, writeDeadline: null });
  const expiring = connect(hub, { expiresIn: 5000 });
  const other = connect(hub);
  await clock.advance(4900);
  const seen = hub.publish("t", { data: "1" });
  await clock.settle();
  expect(closed).toEqual([]);
  await clock.advance(1100);
  expect(closed).toEqual(["auth-expired"]);
  expect(control(expiring.sink, "sse:closing")).toEqual([{ reason: "auth-expired", retry: 2000 }]);
  expect(decode(expiring.sink).at(-1)!.lastEventId).toBe(await seen);
  expect([expiring.stream.state, other.stream.state]).toEqual(["closed", "live"]);
  const late = hub.publish("t", { data: "2" });
  await clock.settle();
  const back = connect(hub, { lastEventId: await seen });
  await clock.settle();
  await late;
  expect([dataOf(expiring.sink), dataOf(back.sink)]).toEqual([["1"], ["2"]]);
  expect(hub.stats().closes["auth-expired"]).toBe(1);
});

test("a stream that is blocked when its permission ends is cut off", async () => {
  const { clock, hub, closed } = setUp({ writeDeadline: null });
  const { sink, stream } = connect(hub, { expiresIn: 5000 });
  await clock.settle();
  sink.stall();
  const published = hub.publish("t", { data: "1" });
  await clock.settle();
  await published;
  expect(stream.state).toBe("blocked");
  await clock.advance(6100);
  expect(closed).toEqual(["auth-expired"]);
  expect(control(sink, "sse:closing")).toEqual([]);
});
