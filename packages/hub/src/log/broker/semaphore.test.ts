import { expect, test } from "bun:test";
import { ManualClock } from "../../testing/manual-clock.ts";
import { Semaphore, SemaphoreTimeout } from "./semaphore.ts";

/** Work that lasts until it is told to end. */
function work(semaphore: Semaphore, weight: number, timeout?: number) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const state = { began: false, end: resolve };
  const done = semaphore.pass(
    weight,
    async () => {
      state.began = true;
      await promise;
    },
    timeout,
  );
  return Object.assign(state, { done });
}

test("lets in what fits, in order, and what is too heavy alone", async () => {
  const semaphore = new Semaphore(10);
  const [first, second, heavy, last] = [6, 4, 20, 1].map((weight) => work(semaphore, weight));
  const began = () => [first, second, heavy, last].map((each) => each!.began);
  expect(began()).toEqual([true, true, false, false]);
  first!.end();
  await first!.done;
  expect(began()).toEqual([true, true, false, false]); // the light one does not overtake
  second!.end();
  await second!.done;
  expect(began()).toEqual([true, true, true, false]);
  heavy!.end();
  await heavy!.done;
  expect(began()).toEqual([true, true, true, true]);
  last!.end();
  await last!.done;
});

test("work begins in the order of the calls, also of one that comes just when another is let in", async () => {
  const semaphore = new Semaphore(1);
  const order: number[] = [];
  const pass = (number: number) => semaphore.pass(1, async () => void order.push(number));
  const passes = [pass(1), pass(2)];
  for (let number = 3; number < 40; number++) {
    await Promise.resolve();
    passes.push(pass(number));
  }
  await Promise.all(passes);
  expect(order).toEqual(Array.from({ length: 39 }, (_, at) => at + 1));
});

test("does nothing for what waits too long, or in too long a queue, and goes on with the others", async () => {
  const clock = new ManualClock();
  const semaphore = new Semaphore(1, 2, clock);
  const inside = work(semaphore, 1);
  const impatient = work(semaphore, 1, 1);
  const patient = work(semaphore, 1, 2);
  const refused = await work(semaphore, 1).done.catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(SemaphoreTimeout);
  const late = impatient.done.catch((error: unknown) => error);
  await clock.advance(1);
  expect(await late).toBeInstanceOf(SemaphoreTimeout);
  inside.end();
  await inside.done;
  expect(clock.timers).toBe(0);
  patient.end();
  await patient.done;
  expect([impatient.began, patient.began]).toEqual([false, true]);
});

test("is left also by work that fails", async () => {
  const semaphore = new Semaphore(1);
  const failing = () => semaphore.pass(1, () => Promise.reject(new Error("no")));
  for (let times = 0; times < 3; times++)
    expect(await failing().catch((error: Error) => error.message)).toBe("no");
  expect(await semaphore.pass(1, async () => "yes")).toBe("yes");
});
