import { expect, test } from "bun:test";
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
