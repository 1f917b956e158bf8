import { expect, test } from "bun:test";
import { type OverloadLimits, OverloadWatch } from "./overload-watch.ts";

const LIMITS: OverloadLimits = { maxDescriptors: 100, maxMemory: 1000, maxLag: 200 };

function setUp(limits: Partial<OverloadLimits> = {}) {
  const state = { now: 0, descriptors: 10, memory: 100 };
  const lines: string[] = [];
  const log = (message: string, fields: object = {}): void =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  let sample = (): void => {};
  const watch = new OverloadWatch(
    { ...LIMITS, ...limits },
    { debug: log, info: log, warn: log, error: log },
    {
      usage: { descriptors: () => state.descriptors, memory: () => state.memory },
      clock: {
        now: () => state.now,
        defer: () => {},
        after: () => () => {},
        every: (_, task) => {
          sample = task;
          return () => {};
        },
      },
    },
  );
  /** Samples, each so late. */
  const run = (samples: number, lag = 0): void => {
    for (let at = 0; at < samples; at++) {
      state.now += 250 + lag;
      sample();
    }
  };
  return { state, lines, watch, run, reason: () => watch.current()?.reason ?? null };
}

test("descriptors are looked at for each stream, memory is sampled", () => {
  const { state, run, reason } = setUp();
  state.memory = 1000;
  expect(reason()).toBeNull();
  state.descriptors = 100;
  expect(reason()).toBe("descriptors");
  state.descriptors = 0;
  run(4);
  expect(reason()).toBe("memory");
});

test("one late turn is nothing, two are", () => {
  const { run, reason } = setUp();
  run(1, 5000);
  expect(reason()).toBeNull();
  run(1);
  run(1, 200);
  expect(reason()).toBeNull();
  run(1, 200);
  expect(reason()).toBe("lag");
});

test("it takes a while well below the limit to open again, so that the door does not flap", () => {
  const { state, lines, run, reason } = setUp();
  for (let round = 0; round < 50; round++) {
    state.memory = round % 2 === 0 ? 1000 : 950;
    run(1);
    expect(reason()).toBe("memory");
  }
  state.memory = 899;
  run(3);
  state.memory = 901;
  run(1);
  state.memory = 899;
  run(3);
  expect(reason()).toBe("memory");
  run(1);
  expect(reason()).toBeNull();
  expect(lines).toEqual([
    'sends new streams away {"reason":"memory","used":1000,"limit":1000}',
    'takes new streams again {"reason":"memory"}',
  ]);
});

test("says of each resource whether it is short, and names one", () => {
  const { state, run, watch } = setUp();
  Object.assign(state, { memory: 2000, descriptors: 200 });
  run(2, 500);
  expect(watch.state).toEqual({ descriptors: 1, memory: 1, lag: 1 });
  expect(watch.current()?.detail).toContain("come back later");
});

test("what is off is not looked at", () => {
  const { state, run, reason } = setUp({ maxDescriptors: null, maxMemory: null, maxLag: null });
  Object.assign(state, { memory: 1e9, descriptors: 1e9 });
  run(5, 60_000);
  expect(reason()).toBeNull();
});
