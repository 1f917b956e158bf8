import { expect, test } from "bun:test";
import { inSlices, type Sliced } from "./slices.ts";

function* work(steps: number): Sliced<number> {
  for (let step = 0; step < steps; step++) {
    const until = performance.now() + 2;
    while (performance.now() < until);
    yield;
  }
  return steps;
}

test("however many have work, a turn of the event loop is one slice", async () => {
  const steps = Array.from({ length: 12 }, () => 0);
  let inTurn = 0;
  let most = 0;
  function* counted(at: number): Sliced<number> {
    for (; steps[at]! < 20; steps[at]!++) {
      most = Math.max(most, ++inTurn);
      yield* work(1);
    }
    return at;
  }
  const all = Promise.all(steps.map(async (_, at) => await inSlices(counted(at))));
  let isDone = false;
  const turn = (): void => {
    inTurn = 0;
    if (!isDone) setImmediate(turn);
  };
  turn();
  expect(await all).toEqual([...steps.keys()]);
  isDone = true;
  // A slice of 10 ms has five such steps, and one that begins within it.
  expect(most).toBeLessThanOrEqual(6 + 1);
});

test("what is done within the first slice costs no promise, and what throws later rejects", async () => {
  await new Promise((resolve) => setImmediate(resolve));
  expect(inSlices(work(1))).toBe(1);
  await new Promise((resolve) => setImmediate(resolve));
  function* failing(): Sliced<never> {
    yield* work(20);
    throw new Error("late");
  }
  expect(inSlices(failing())).rejects.toThrow("late");
  expect(await inSlices(work(10))).toBe(10);
});
