import { expect, spyOn, test } from "bun:test";
import { connect, control, dataOf } from "../test/client.ts";
import { createHub, type Hub, type HubOptions, MemoryLog } from "./index.ts";
import { ManualClock } from "./testing/manual-clock.ts";

/* A namespace has topics and a log of its own; its streams are the hub's. */

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
  return { clock, hub, state: hub.namespace(new MemoryLog({ clock })), closed };
}

const publish = async (clock: ManualClock, to: Hub, data: string): Promise<void> => {
  const published = to.publish("t", { data });
  await clock.settle();
  await published;
};

test("what is published in one is not in the other, whatever was asked for", async () => {
  const { clock, hub, state } = setUp();
  const streams = [hub, state].map((of) => connect(of, { topics: ["**"] }));
  await publish(clock, hub, "of the hub");
  await publish(clock, state, "of the namespace");
  expect(streams.map(({ sink }) => dataOf(sink))).toEqual([["of the hub"], ["of the namespace"]]);
  expect(hub.stats()).toMatchObject({ published: 1, log: { events: 1 } });
  expect([hub.listeners("t"), state.listeners("t")]).toEqual([1, 1]);
});

test.each([
  ["maxStreams", {}, "too-many-streams"],
  ["maxStreamsPerAddress", { address: "a" }, "too-many-streams-of-address"],
  ["maxStreamsPerPrincipal", { principal: "p" }, "too-many-streams-of-principal"],
])("%s counts streams of both", (limit, whose, code) => {
  const { hub, state } = setUp({ [limit]: 2 });
  const [, second] = [hub, state].map((of) => connect(of, { topics: ["t"], ...whose }));
  for (const each of [hub, state]) {
    expect(() => connect(each, { topics: ["t"], ...whose })).toThrow(expect.objectContaining({ code }));
  }
  second!.stream.gone();
  connect(hub, { topics: ["t"], ...whose });
  expect(() => connect(state, { topics: ["t"], ...whose })).toThrow(expect.objectContaining({ code }));
});

test("maxStreamsPerTopic counts each one's topics, which are not the other's", () => {
  const { hub, state } = setUp({ maxStreamsPerTopic: 1 });
  for (const each of [hub, state]) connect(each, { topics: ["t"] });
  for (const each of [hub, state])
    expect(() => connect(each, { topics: ["t"] })).toThrow("one of the topics");
});

test("streams of both are in the stats, end at the maximum age, and are told to onClose", async () => {
  const { clock, hub, state, closed } = setUp({ maxAge: 10_000 });
  for (const each of [hub, state]) connect(each, { topics: ["t"] });
  await publish(clock, state, "1");
  expect(hub.stats()).toMatchObject({ streams: 2, cohorts: 2, deliveries: 1, resumes: { fresh: 2 } });
  await clock.advance(11_000);
  expect(hub.stats()).toMatchObject({ streams: 0, closes: { "max-age": 2 } });
  expect(closed).toEqual(["max-age", "max-age"]);
});

test("a drain of every stream is one of both, and a drain of topics is of the hub's", async () => {
  const { clock, hub, state } = setUp();
  const open = () => [hub, state].map((of) => connect(of, { topics: ["t"] }));
  const reasons = (of: ReturnType<typeof open>): unknown[] =>
    of.map(({ sink }) => control(sink, "sse:closing").map((each) => (each as { reason: string }).reason));
  const first = open();
  expect(hub.drain({ topics: ["t"], within: 0 })).toBe(1);
  await clock.settle();
  expect(reasons(first)).toEqual([["drain"], []]);
  const second = open();
  expect(hub.drain({ within: 0 })).toBe(3);
  await clock.settle();
  expect([...reasons(first), ...reasons(second)]).toEqual([["drain"], ["drain"], ["drain"], ["drain"]]);
  expect(hub.stats()).toMatchObject({ streams: 0, closes: { drain: 4 } });
});

test("a namespace closes with the hub, and alone leaves nothing behind", async () => {
  const { clock, hub, state } = setUp();
  const other = hub.namespace(new MemoryLog({ clock }));
  connect(other, { topics: ["t"] });
  await other.close();
  expect(hub.stats()).toMatchObject({ streams: 0, closes: { drain: 1 } });
  const { sink } = connect(state, { topics: ["t"] });
  await hub.close();
  expect(control(sink, "sse:closing")).toHaveLength(1);
  expect(() => connect(state, { topics: ["t"] })).toThrow("shutting down");
  expect(() => hub.namespace(new MemoryLog())).toThrow("shutting down");
});

test("a log of a namespace that fails to close, or to answer, keeps nothing else open", async () => {
  const clock = new ManualClock();
  const log = new MemoryLog({ clock });
  const close = spyOn(log, "close");
  const { hub } = setUp({ clock, log });
  const failing = new MemoryLog({ clock });
  failing.close = () => {
    throw new Error("the namespace's log");
  };
  hub.namespace(failing);
  const { sink } = connect(hub, { topics: ["t"] });
  const closed = hub.close({ within: 0 });
  closed.catch(() => {});
  await clock.settle();
  expect(closed).rejects.toThrow("the namespace's log");
  expect(sink.ended).toBe("closed");
  expect(close.mock.calls).toHaveLength(1);
});

test("a namespace of a namespace is the hub's", () => {
  const { hub, state } = setUp();
  const inner = state.namespace(new MemoryLog());
  connect(inner, { topics: ["t"] });
  expect(hub.stats()).toMatchObject({ streams: 1, cohorts: 1 });
});
