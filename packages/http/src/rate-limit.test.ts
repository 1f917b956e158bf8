import { expect, test } from "bun:test";
import fc from "fast-check";
import { RateLimiter } from "./rate-limit.ts";

function setUp(perSecond: number) {
  const time = { now: 0 };
  return { time, limiter: new RateLimiter(perSecond, () => time.now) };
}

test("allows a second's worth at once, and then the rate", () => {
  const { time, limiter } = setUp(10);
  let taken = 0;
  for (; time.now < 10_000; time.now += 10) if (limiter.take("a", 1) === 0) taken++;
  expect(taken).toBe(11 + 99); // a second's worth and the one that is owed; then one in a tenth of a second
});

test("says when to come back, to the millisecond", () => {
  const { time, limiter } = setUp(10);
  for (let at = 0; at < 11; at++) expect(limiter.take("a", 1)).toBe(0);
  expect(limiter.take("a", 1)).toBe(100);
  expect(limiter.take("b", 1)).toBe(0);
  time.now = 99;
  expect(limiter.take("a", 1)).toBe(1);
  time.now = 100;
  expect(limiter.take("a", 1)).toBe(0);
});

test("takes many whole, and has them paid for", () => {
  const { time, limiter } = setUp(100);
  expect(limiter.take("a", 10_000)).toBe(0);
  expect(limiter.take("a", 0)).toBe(99_000);
  time.now = 98_999;
  expect(limiter.take("a", 1)).toBe(1);
  time.now = 99_000;
  expect(limiter.take("a", 0)).toBe(0);
});

test("whatever is asked for, nobody gets more than the rate and a second's worth, but for the last they took", () => {
  const requests = fc.array(fc.record({ after: fc.nat(300), count: fc.nat(50) }), { maxLength: 200 });
  fc.assert(
    fc.property(requests, (steps) => {
      const { time, limiter } = setUp(20);
      let taken = 0;
      for (const { after, count } of steps) {
        time.now += after;
        const before = taken;
        if (limiter.take("a", count) === 0) taken += count;
        if (taken > before) expect(before).toBeLessThanOrEqual(20 + (20 * time.now) / 1000 + 1e-6);
      }
    }),
  );
});

/** Processor time for each event while so many clients come, and go, in microseconds. */
function costOf(clients: number): number {
  const { time, limiter } = setUp(1);
  const { user } = process.cpuUsage();
  for (let round = 0; round < 2; round++) {
    for (let client = 0; client < clients; client++) {
      time.now += 0.001;
      if (limiter.take(`client ${client}`, 1) > 0) throw new Error("nobody owes more than is allowed");
    }
  }
  expect(limiter.clients).toBe(clients);
  for (let step = 0; step < clients; step++) {
    time.now += 10_000;
    limiter.take("another", 1);
  }
  expect(limiter.clients).toBe(1);
  return (process.cpuUsage().user - user) / (3 * clients);
}

test("twenty thousand clients at once are as good as a hundred", () => {
  const few = Math.min(...Array.from({ length: 10 }, () => costOf(100)));
  // What grows with the clients would be two hundred times as much.
  expect(costOf(20_000)).toBeLessThan(20 * few + 10);
});

test("remembers those only who owe something", () => {
  const { time, limiter } = setUp(1000);
  limiter.take("in debt", 100_000);
  for (let at = 0; at < 50_000; at++) {
    time.now += 0.1;
    expect(limiter.take(`client ${at}`, 1)).toBe(0);
  }
  expect(limiter.clients).toBeLessThan(50);
  expect(limiter.take("in debt", 0)).toBeGreaterThan(0);
  expect(limiter.take("asks only", 0)).toBe(0);
  expect(limiter.clients).toBeLessThan(50);
});
