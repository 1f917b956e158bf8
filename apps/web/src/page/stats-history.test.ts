import { expect, test } from "bun:test";
import { Latency } from "./latency.ts";
import type { PostResult } from "./post.ts";
import { Probe } from "./probe.ts";
import { StatsHistory } from "./stats-history.ts";

const sample = (time: number, published: number, uptime = time / 1000) =>
  JSON.stringify({ time, uptime, published, deliveries: published * 10, streams: 1 });

test("rates are of two samples of one life, close to each other", () => {
  const history = new StatsHistory(10);
  history.add(sample(1_000, 100));
  history.add(sample(3_000, 150));
  // The server has started anew; then nobody listened for a minute.
  history.add(sample(4_000, 5, 1));
  history.add(sample(64_000, 65, 61));
  history.add(sample(65_000, 66, 62));
  expect(history.points.map(({ eventsPerSecond }) => eventsPerSecond)).toEqual([null, 25, null, null, 1]);
  expect(history.latest?.deliveriesPerSecond).toBe(10);
});

test("what is no sample is left out, and what is old goes", () => {
  const history = new StatsHistory(2);
  expect(["nonsense", "null", "{}"].map((data) => history.add(data))).toEqual([false, false, false]);
  for (const time of [1_000, 2_000, 3_000]) expect(history.add(sample(time, 0))).toBe(true);
  expect(history.points.map((point) => point.sample.time)).toEqual([2_000, 3_000]);
});

test("percentiles are values that were measured, of the last minute", () => {
  const latency = new Latency(60_000);
  expect(latency.percentile(50)).toBeNull();
  latency.add(0, 1_000);
  for (let n = 1; n <= 100; n++) latency.add(60_001, n);
  expect([50, 99, 100].map((percent) => latency.percentile(percent))).toEqual([50, 99, 100]);
  expect(latency.count).toBe(100);
});

function createProbe(answer: PostResult<unknown>) {
  const took: number[] = [];
  let now = 0;
  const sent: string[] = [];
  const probe = new Probe({
    tab: "this",
    post: (body) => {
      sent.push(JSON.stringify(body));
      return Promise.resolve(answer);
    },
    now: () => now,
    onLatency: (ms) => took.push(ms),
  });
  return { probe, took, sent, wait: (ms: number) => (now += ms) };
}

test("a probe counts once, and only in the tab that sent it", async () => {
  const { probe, took, sent, wait } = createProbe({ ok: true, value: null });
  await probe.send();
  wait(7);
  probe.arrived('{"tab":"another","number":1}');
  probe.arrived("nonsense");
  probe.arrived(sent[0]!);
  wait(7);
  probe.arrived(sent[0]!);
  expect(took).toEqual([7]);
});

test("a probe that is refused measures nothing", async () => {
  const { probe, took, sent } = createProbe({ ok: false, problem: "403 Forbidden" });
  await probe.send();
  probe.arrived(sent[0]!);
  expect(took).toEqual([]);
});
