import { expect, test } from "bun:test";
import { MaximumDurations } from "./maximum-durations.ts";

test("a maximum is told once, and all of it is handed on", () => {
  const told: string[] = [];
  const durations = new MaximumDurations({
    committed: (ms) => told.push(`commit ${ms}`),
    fannedOut: (ms) => told.push(`fan-out ${ms}`),
  });
  expect(durations.take()).toEqual({ commit: null, fanOut: null });
  for (const ms of [2, 5, 3]) durations.committed(ms);
  durations.fannedOut(0);
  expect(durations.take()).toEqual({ commit: 5, fanOut: 0 });
  expect(durations.take()).toEqual({ commit: null, fanOut: null });
  expect(told).toEqual(["commit 2", "commit 5", "commit 3", "fan-out 0"]);
});
