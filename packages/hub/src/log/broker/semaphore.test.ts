import { expect, test } from "bun:test";
import { Semaphore, SemaphoreTimeout } from "./semaphore.ts";

/** Work that lasts until it is told to end. */
function work(gate: Semaphore, weight: number, patience?: number) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const state = { began: false, end: resolve };
  const done = gate.pass(
    weight,
    async () => {
      state.began = true;
      await promise;
    },
    patience,
  );
  return Object.assign(state, { done });
}

test("lets in what fits, in order, and what is too heavy alone", async () => {
  const gate = new Semaphore(10);
  const [first, second, heavy, last] = [6, 4, 20, 1].map((weight) => work(gate, weight));
  await Bun.sleep(0);
  const began = () => [first, second, heavy, last].map((each) => each!.began);
  expect(began()).toEqual([true, true, false, false]);
  first!.end();
  await first!.done;
  expect(began()).toEqual([true, true, false, false]); // the light one does not overtake
  second!.end();
  await second!.done;
  await Bun.sleep(0);
  expect(began()).toEqual([true, true, true, false]);
  heavy!.end();
  await heavy!.done;
  await Bun.sleep(0);
  expect(began()).toEqual([true, true, true, true]);
  last!.end();
  await last!.done;
});

test("does nothing for who waits too long, or in too long a line, and goes on with the others", async () => {
  const gate = new Semaphore(1, 2);
  const inside = work(gate, 1);
  const impatient = work(gate, 1, 1);
  const patient = work(gate, 1);
  expect(work(gate, 1).done).rejects.toBeInstanceOf(SemaphoreTimeout);
  expect(impatient.done).rejects.toBeInstanceOf(SemaphoreTimeout);
  await impatient.done.catch(() => {});
  inside.end();
  await inside.done;
  patient.end();
  await patient.done;
  expect([impatient.began, patient.began]).toEqual([false, true]);
});

test("is left also by work that fails", async () => {
  const gate = new Semaphore(1);
  for (let times = 0; times < 3; times++)
    expect(gate.pass(1, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await gate.pass(1, async () => "yes")).toBe("yes");
});
