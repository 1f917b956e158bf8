import { setTimeout as sleep } from "node:timers/promises";

/** Resolves when the condition holds. A minute is for a machine that is busy: it says nothing of how long it should take. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`it did not come true: ${String(condition)}`);
    await sleep(1);
  }
}
