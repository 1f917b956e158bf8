import { expect, test } from "bun:test";
import { Slowest } from "./slowest.ts";

test("what took longest is told once, and all of it is handed on", () => {
  const told: string[] = [];
  const slowest = new Slowest({
    committed: (ms) => told.push(`commit ${ms}`),
    fannedOut: (ms) => told.push(`fan-out ${ms}`),
  });
  expect(slowest.take()).toEqual({ commit: null, fanOut: null });
  for (const ms of [2, 5, 3]) slowest.committed(ms);
  slowest.fannedOut(0);
  expect(slowest.take()).toEqual({ commit: 5, fanOut: 0 });
  expect(slowest.take()).toEqual({ commit: null, fanOut: null });
  expect(told).toEqual(["commit 2", "commit 5", "commit 3", "fan-out 0"]);
});
