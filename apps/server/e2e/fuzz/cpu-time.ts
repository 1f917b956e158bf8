import { readFileSync } from "node:fs";

/** The CPU time of the main thread, and how long it waited for a CPU, in nanoseconds. */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;

/** How long the main thread has run for, in milliseconds: on a busy machine a thread waits for its turn, which does not count. */
export function cpuTime(): number {
  return Number(readFileSync(SCHEDSTAT, "latin1").split(" ", 1)[0]) / 1e6;
}

/** How long the work takes on a machine that has nothing else to do, in milliseconds. */
const WORK_TIME = 24;
const TIMES = 8;

/** How much slower this machine is, now: a neighbour on the same core takes its toll of CPU time too. 1 or more. */
export function slowness(): number {
  const work = `[${'{"topic":"a","data":1},'.repeat(150_000)}1]`;
  JSON.parse(work); // makes one text of its pieces
  const before = cpuTime();
  for (let time = 0; time < TIMES; time++) JSON.parse(work);
  return Math.max(1, (cpuTime() - before) / WORK_TIME);
}
