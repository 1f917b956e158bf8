import { describe, expect, test } from "bun:test";
import { createDecoder } from "@sse/protocol";
import fc from "fast-check";
import { asyncLog } from "../../test/async-log.ts";
import { connect, control, dataOf, decode } from "../../test/client.ts";
import { createHub, type HubOptions, MemoryLog, type RecordingSink, type Retention } from "../index.ts";
import { ManualClock } from "../testing/manual-clock.ts";

function setUp({ retention = {}, ...options }: HubOptions & { retention?: Retention } = {}) {
  const clock = new ManualClock();
  const log = new MemoryLog({ ...retention, clock });
  const hub = createHub({ clock, log, random: () => 0.5, ...options });
  const publish = async (topic: string, ...data: unknown[]): Promise<string[]> => {
    const ids = data.map((value) => hub.publish(topic, { data: value }));
    await clock.settle();
    return Promise.all(ids);
  };
  return { clock, hub, publish };
}

const inside = (sink: RecordingSink) => dataOf(sink).map((data) => JSON.parse(data) as unknown);

function lastEventIdOf(sink: RecordingSink): string {
  const decoder = createDecoder({ onEvent: () => {} });
  for (const frame of sink.frames) decoder.feed(frame);
  return decoder.lastEventId;
}

describe("envelope=json", () => {
  test("tells the topic, the key where there is one, and the data: the JSON value, or a string", async () => {
    const { hub, clock, publish } = setUp();
    const { sink } = connect(hub, { topics: ["**"], envelope: "json" });
    const quoted = 'a"b\\c/é';
    const values = [{ total: 1 }, [1, "two"], 3, true, null, "text", "", '{"text":"that looks like JSON"}'];
    await publish(quoted, ...values);
    void hub.publish("t", { data: { n: 1 }, key: 'k "1"', event: "added" });
    void hub.publish("t", { data: "last", end: true });
    await clock.settle();
    expect(inside(sink)).toEqual([
      ...values.map((data) => ({ topic: quoted, data })),
      { topic: "t", key: 'k "1"', data: { n: 1 } },
      { topic: "t", data: "last" },
    ]);
    expect(sink.text).toMatch(
      /\n\nevent: added\ndata: \{"topic":"t","key":"k \\"1\\"","data":\{"n":1\}\}\nid: \S+\n\n/,
    );
  });

  test("is one line, whatever is in the data, and holds what a plain stream gets", () => {
    const piece = fc.constantFrom(
      "\n",
      "\r",
      "\r\n",
      "data: ",
      "\nid: x",
      "\ud800",
      "😀",
      '"',
      "\\",
      "\0",
      "a",
    );
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));
    return fc.assert(
      fc.asyncProperty(text, fc.option(text), async (data, inJson) => {
        const { hub, publish } = setUp();
        const plain = connect(hub);
        const wrapped = connect(hub, { envelope: "json" });
        const [id] = await publish("t", inJson === null ? data : { inJson });
        const [event] = decode(wrapped.sink).slice(-1);
        expect(event).toMatchObject({ type: "message", lastEventId: id! });
        const [got] = dataOf(plain.sink);
        const { data: found } = JSON.parse(event!.data) as { data: unknown };
        expect(found).toEqual(inJson === null ? got : JSON.parse(got!));
        expect(wrapped.sink.text.match(/^data: /gm)).toHaveLength(2); // sse:ready has the other
      }),
    );
  });

  test("leaves the hub's own events as they are", async () => {
    const { hub, publish, clock } = setUp({ retention: { maxEvents: 2 } });
    const [first] = await publish("t", "1", "2", "3", "4");
    void hub.end("t");
    await clock.settle();
    const [wrapped, plain] = (["json", undefined] as const).map((envelope) =>
      connect(hub, { topics: ["t", "u"], envelope, lastEventId: first }),
    );
    await clock.settle();
    await hub.close();
    const own = (sink: RecordingSink) => decode(sink).filter(({ type }) => type.startsWith("sse:"));
    expect(own(wrapped!.sink)).toEqual(own(plain!.sink));
    expect(own(plain!.sink).map(({ type }) => type)).toEqual([
      "sse:ready",
      "sse:gap",
      "sse:end",
      "sse:closing",
    ]);
    expect(inside(wrapped!.sink)).toEqual([{ topic: "t", data: "4" }]);
  });

  test("is encoded once for all its streams, and never reaches plain ones", async () => {
    const { hub, publish } = setUp();
    const open = (...topics: string[]) => connect(hub, { topics, envelope: "json" }).sink;
    const [one, two, other] = [open("t"), open("t"), open("t", "u")];
    const plain = connect(hub).sink;
    await publish("t", "1", "2");
    expect(hub.stats().cohorts).toBe(3);
    expect(one.frames.at(-1)).toBe(two.frames.at(-1));
    expect(one.frames.at(-1)).toBe(other.frames.at(-1));
    expect(dataOf(plain)).toEqual(["1", "2"]);
    expect(inside(one)).toHaveLength(2);
  });

  test("has places of its own among the cohorts, and leaves none behind", async () => {
    const { hub, publish } = setUp();
    const topics = ["t", "a/*"];
    const wrapped = connect(hub, { topics, envelope: "json" });
    const plain = connect(hub, { topics });
    wrapped.stream.gone();
    await publish("t", "1");
    expect(dataOf(plain.sink)).toEqual(["1"]);
    expect(hub.listeners("t")).toBe(1);
    expect(hub.stats()).toMatchObject({ cohorts: 1, streams: 1 });
  });

  describe.each(["live", "catching up", "catching up from a log that takes its time"])(
    "%s, keeps frames within their bound",
    (how) => {
      const BOUND = 1000;
      const texts = Array.from({ length: 40 }, (_, at) => `${at} ${'"'.repeat(at * 7)}`);

      test.each(["catch-up", "latest"] as const)("lag=%s", async (lag) => {
        const clock = new ManualClock();
        const memory = new MemoryLog({ clock });
        const log = how.endsWith("time") ? asyncLog(memory, () => 1) : memory;
        const { hub, publish } = setUp({ log, clock, maxFrameBytes: BOUND });
        const isLive = how === "live";
        const connection = () => connect(hub, { envelope: "json", lag, replay: "all" });
        const before = isLive ? connection() : null;
        await clock.settle();
        for (const text of texts) void hub.publish("t", { data: text, key: text });
        await publish("t");
        const { sink } = before ?? connection();
        await clock.settle();
        expect(inside(sink).map((event) => (event as { data: string }).data)).toEqual(texts);
        for (const frame of sink.frames) {
          const isOne = new TextDecoder().decode(frame).match(/^id: /gm)!.length === 1;
          if (!isOne) expect(frame.byteLength).toBeLessThanOrEqual(BOUND);
        }
      });
    },
  );

  test("tells of what newer events stand for, once, where a page is cut", async () => {
    const { hub, publish, clock } = setUp({ maxFrameBytes: 300 });
    const { sink } = connect(hub, { envelope: "json", lag: "latest" });
    await clock.settle();
    sink.stall();
    await publish("t", "in flight");
    for (const key of ["a", "b", "a", "c", "b", "d", "e", "d"])
      void hub.publish("t", { data: `${key} ${'"'.repeat(60)}`, key });
    await clock.settle();
    sink.release();
    await clock.settle();
    const gaps = control(sink, "sse:gap") as { from: string; to: string }[];
    const ids = decode(sink).map(({ lastEventId }) => Number(lastEventId.split("-")[1]));
    expect(ids).toEqual([0, 1, 3, 4, 5, 6, 7, 8, 9]); // 2, 3 and 7 are outdated, and the page is cut after 6
    expect(gaps).toHaveLength(2);
    expect(inside(sink).map((event) => (event as { key?: string }).key)).toEqual([
      undefined,
      "a",
      "c",
      "b",
      "e",
      "d",
    ]);
  });
});

describe("control=comment", () => {
  test("dispatches what publishers have sent, and nothing else, and moves the cursor as events do", async () => {
    const { hub, publish, clock } = setUp({ retention: { maxEvents: 2 } });
    const [first] = await publish("t", "1", "2", "3", "4");
    const open = (how: "comment" | "event") =>
      connect(hub, { topics: ["t", "u"], control: how, lastEventId: first });
    const [commented, plain] = [open("comment"), open("event")];
    const steps: [string, () => unknown][] = [
      ["sse:ready", () => {}],
      ["sse:end", () => void hub.end("t")],
      ["sse:closing", () => void hub.close()],
    ];
    for (const [type, act] of steps) {
      act();
      await clock.settle();
      expect(lastEventIdOf(commented.sink)).toBe(lastEventIdOf(plain.sink));
      expect(commented.sink.text).toContain(`: ${type} {"`);
    }
    expect(decode(commented.sink).map(({ data }) => data)).toEqual(["3", "4"]);
    const own = decode(plain.sink).filter(({ type }) => type.startsWith("sse:"));
    const comments = [...commented.sink.text.matchAll(/^: (sse:\w+) (.*)\n/gm)];
    expect(comments.map(([, type, data]) => [type!, data!])).toEqual(
      own.map(({ type, data }) => [type, data]),
    );
    expect(commented.sink.text).toMatch(
      /^: sse:ready \{.*\}\nretry: \d+\nid: \S+\n\n: sse:gap \{.*\}\nid: \S+\n\n/,
    );
    expect(commented.sink.ended).toBe("closed");
  });

  test("holds for holes of lag, and together with an envelope", async () => {
    const { hub, publish, clock } = setUp();
    const { sink } = connect(hub, { envelope: "json", control: "comment", lag: "latest" });
    await clock.settle();
    sink.stall();
    await publish("t", "1");
    await publish("t", "2", "3", "4");
    sink.release();
    await clock.settle();
    void hub.end("t");
    await clock.settle();
    expect(decode(sink).map(({ data }) => data)).toEqual([
      '{"topic":"t","data":"1"}',
      '{"topic":"t","data":"4"}',
    ]);
    expect(sink.text).toMatch(/^: sse:gap \{"reason":"lag".*\n(?=id: )/m);
    expect(sink.text).toEndWith(`: sse:end {"topic":"t"}\nid: ${lastEventIdOf(sink)}\n\n`);
    expect(sink.ended).toBe("closed");
  });

  test("shares the frames of plain streams while they hold no control event", async () => {
    const { hub, publish } = setUp();
    const [commented, plain] = [connect(hub, { control: "comment" }), connect(hub)];
    await publish("t", "1");
    expect(commented.sink.frames.at(-1)).toBe(plain.sink.frames.at(-1));
  });

  test("holds for a stream that is closed before it is attached", async () => {
    const { hub, clock } = setUp();
    const opening = await hub.open({ topics: ["t"], control: "comment" });
    void hub.close();
    await clock.settle();
    const frames: Uint8Array[] = [];
    opening.attach({
      write: (bytes) => frames.push(bytes),
      close: () => {},
      abort: () => {},
    });
    expect(new TextDecoder().decode(frames[0])).toMatch(/^: sse:closing \{"reason":"drain".*\nretry: /);
  });
});

test("anything else is refused", () => {
  const { hub } = setUp();
  for (const wrong of [{ envelope: "xml" }, { envelope: true }, { envelope: null }, { control: "none" }]) {
    expect(() => hub.open({ topics: ["t"], ...(wrong as object) })).toThrow(Object.keys(wrong)[0]!);
  }
});

test("an iterator gets its events as they are, whatever it is given", async () => {
  const { hub, publish } = setUp();
  const request = { topics: ["t"], envelope: "json", control: "comment" };
  const events = hub.iterate(request);
  expect((await events.next()).value).toMatchObject({ kind: "ready" });
  const next = events.next();
  await publish("t", "1");
  expect((await next).value).toMatchObject({ kind: "event", topic: "t", data: "1" });
  await events.return!();
});
