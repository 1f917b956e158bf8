import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { connect, control, dataOf, decode, type Connection } from "../../test/client.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import {
  createHub,
  HubError,
  type HubOptions,
  type Opening,
  RecordingSink,
  type StreamRequest,
} from "../index.ts";

/* How many streams there may be, and how old they may get. */

function setUp(options: HubOptions = {}) {
  const clock = new ManualClock();
  return { clock, hub: createHub({ clock, random: () => 0.5, ...options }) };
}

/** Why the hub does not take it; null when it does. */
function refusalOf(attempt: () => unknown): string | null {
  try {
    attempt();
    return null;
  } catch (error) {
    if (error instanceof HubError) return error.code;
    throw error;
  }
}

describe("a limit", () => {
  const request = { topics: ["t", "a/*"], address: "192.0.2.1", principal: "me" };
  test.each<[HubOptions, Partial<StreamRequest>, string]>([
    [{ maxStreams: 2 }, { topics: ["u"], address: "192.0.2.2", principal: "you" }, "too-many-streams"],
    [{ maxStreamsPerAddress: 2 }, { principal: "you" }, "too-many-streams-of-address"],
    [{ maxStreamsPerPrincipal: 2 }, { address: "192.0.2.2" }, "too-many-streams-of-principal"],
    [
      { maxStreamsPerTopic: 2 },
      { topics: ["u", "t"], address: "192.0.2.2", principal: "you" },
      "too-many-streams-of-topic",
    ],
    [{ maxStreamsPerTopic: 2 }, { topics: ["a/*"] }, "too-many-streams-of-topic"],
  ])(
    "%j refuses a third stream, also beside one that has no sink yet, until one has gone",
    (options, like, code) => {
      const { hub } = setUp(options);
      const first = connect(hub, request);
      const third: StreamRequest = { ...request, ...like };
      const opening = hub.open(request) as Opening;
      expect(refusalOf(() => hub.open(third))).toBe(code);
      expect(hub.stats().streams).toBe(2);
      opening.attach(new RecordingSink());
      expect(refusalOf(() => hub.open(third))).toBe(code);
      first.stream.gone();
      expect(refusalOf(() => connect(hub, third))).toBeNull();
    },
  );

  test("of addresses and principals counts nobody who has none, and others apart", () => {
    const { hub } = setUp({ maxStreamsPerAddress: 1, maxStreamsPerPrincipal: 1 });
    for (let at = 0; at < 3; at++) {
      connect(hub);
      connect(hub, { address: `192.0.2.${at}` });
      connect(hub, { principal: String(at) });
    }
    expect(hub.stats()).toMatchObject({ streams: 9, addresses: 3, principals: 3 });
  });

  test("of a topic counts a stream once that asks for it twice", () => {
    const { hub } = setUp({ maxStreamsPerTopic: 2 });
    connect(hub, { topics: ["t", "t"] });
    expect(refusalOf(() => connect(hub, { topics: ["t", "t"] }))).toBeNull();
    expect(refusalOf(() => connect(hub))).toBe("too-many-streams-of-topic");
  });

  test("costs a stream that runs nothing", async () => {
    const { hub, clock } = setUp({ maxStreams: 1 });
    const { sink } = connect(hub);
    expect(refusalOf(() => connect(hub))).toBe("too-many-streams");
    const published = hub.publish("t", { data: "1" });
    await clock.settle();
    await published;
    expect(dataOf(sink)).toEqual(["1"]);
  });
});

test("what is counted is what is open, whatever mix of connects and ends there was", async () => {
  const LIMITS = {
    maxStreams: 12,
    maxStreamsPerAddress: 5,
    maxStreamsPerPrincipal: 4,
    maxStreamsPerTopic: 6,
  };
  const name = (prefix: string): fc.Arbitrary<string | undefined> =>
    fc.option(fc.constantFrom(...[0, 1, 2].map((at) => prefix + at)), { nil: undefined, freq: 4 });
  const request = fc.record({
    kind: fc.constant("connect" as const),
    address: name("192.0.2."),
    principal: name("p"),
    topics: fc.uniqueArray(fc.constantFrom("t", "u", "a/*", "**"), { minLength: 1 }),
    expiresIn: fc.constantFrom(undefined, 3000),
  });
  const end = fc.record({
    kind: fc.constantFrom("gone", "gone twice", "vanish", "stall", "end", "wait"),
    which: fc.nat(20),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(request, end), { minLength: 30, maxLength: 80 }), async (steps) => {
      const { hub, clock } = setUp({ ...LIMITS, heartbeat: 4000, writeDeadline: 4000, maxAge: 20_000 });
      const all: (Connection & { request: StreamRequest })[] = [];
      const open = () => all.filter(({ stream }) => stream.state !== "closed");
      const has = (isOne: (request: StreamRequest) => boolean): number =>
        open().filter((each) => isOne(each.request)).length;
      for (const step of steps) {
        if ("topics" in step) {
          const { address, principal, topics } = step;
          const isFree =
            open().length < LIMITS.maxStreams &&
            (address === undefined ||
              has((each) => each.address === address) < LIMITS.maxStreamsPerAddress) &&
            (principal === undefined ||
              has((each) => each.principal === principal) < LIMITS.maxStreamsPerPrincipal) &&
            topics.every((topic) => has((each) => each.topics.includes(topic)) < LIMITS.maxStreamsPerTopic);
          const refusal = refusalOf(() => all.push(Object.assign(connect(hub, step), { request: step })));
          expect(refusal === null).toBe(isFree);
        } else {
          const chosen = open()[step.which % Math.max(1, open().length)];
          if (step.kind === "wait") await clock.advance(5000);
          else if (step.kind === "end") await Promise.all([hub.end("t"), clock.settle()]);
          else if (chosen === undefined) continue;
          else if (step.kind === "vanish") chosen.sink.vanish();
          else if (step.kind === "stall") chosen.sink.stall();
          else chosen.stream.gone();
          if (step.kind === "gone twice") chosen?.stream.gone();
        }
        await clock.settle();
        expect(hub.stats()).toMatchObject({
          streams: open().length,
          addresses: new Set(open().flatMap(({ request: { address } }) => address ?? [])).size,
          principals: new Set(open().flatMap(({ request: { principal } }) => principal ?? [])).size,
        });
      }
      await hub.close();
      expect(hub.stats()).toMatchObject({ streams: 0, addresses: 0, principals: 0 });
    }),
    { numRuns: 100 },
  );
});

describe("the maximum age", () => {
  test("ends each stream at its own time in the last quarter, and the client goes on at its cursor", async () => {
    let seed = 0;
    const { hub, clock } = setUp({ maxAge: 100_000, random: () => (seed = (seed + 0.37) % 1) });
    const all = Array.from({ length: 40 }, () => connect(hub));
    const ends: number[] = [];
    for (let time = 0; time < 110_000; time += 1000) {
      const published = hub.publish("t", { data: String(time) });
      await clock.advance(1000);
      await published;
      ends.push(all.filter(({ stream }) => stream.state === "closed").length);
    }
    expect([ends[73], ends[101]]).toEqual([0, 40]);
    for (const [at, quarter] of [74, 80, 86, 92].entries()) {
      expect(ends[quarter + 9]! - ends[quarter]!, `part ${at}`).toBeGreaterThan(2);
    }
    expect(hub.stats().closes["max-age"]).toBe(40);
    for (const { sink } of all.slice(0, 5)) {
      expect(control(sink, "sse:closing")).toEqual([{ reason: "max-age", retry: expect.any(Number) }]);
      const back = connect(hub, { lastEventId: decode(sink).at(-1)!.lastEventId });
      await clock.settle();
      const seen = [...dataOf(sink), ...dataOf(back.sink)];
      expect(seen).toEqual(Array.from({ length: 110 }, (_, second) => String(second * 1000)));
    }
  });

  test("waits for a frame that is on its way", async () => {
    const { hub, clock } = setUp({ maxAge: 10_000, writeDeadline: null });
    const { sink, stream } = connect(hub);
    await clock.settle();
    sink.stall();
    await Promise.all([hub.publish("t", { data: "1" }), clock.settle()]);
    await clock.advance(12_000);
    expect(stream.state).toBe("blocked");
    sink.release();
    await clock.advance(2000);
    expect(control(sink, "sse:closing")).toMatchObject([{ reason: "max-age" }]);
    expect([stream.state, sink.ended]).toEqual(["closed", "closed"]);
  });

  test("can be turned off, and does not hide the end of a permission", async () => {
    const off = setUp({ maxAge: null });
    const { stream } = connect(off.hub);
    await off.clock.advance(10_000_000);
    expect(stream.state).toBe("live");
    const both = setUp({ maxAge: 100_000 });
    const { sink } = connect(both.hub, { expiresIn: 5000 });
    await both.clock.advance(7000);
    expect(control(sink, "sse:closing")).toMatchObject([{ reason: "auth-expired" }]);
  });
});

test("those who are sent away come back over the window", async () => {
  let seed = 0;
  const { hub, clock } = setUp({
    retry: 1000,
    returnWindow: 10_000,
    random: () => (seed = (seed + 0.37) % 1),
  });
  const all = Array.from({ length: 200 }, () => connect(hub));
  await clock.settle();
  await hub.close();
  const parts = [0, 0, 0, 0, 0];
  for (const { sink } of all) {
    const [{ retry }] = control(sink, "sse:closing") as [{ retry: number }];
    parts[Math.min(4, Math.floor((retry - 500) / 2000))]!++;
  }
  for (const part of parts) expect(part).toBeGreaterThan(20);
  expect(parts.reduce((sum, part) => sum + part)).toBe(200);
});
