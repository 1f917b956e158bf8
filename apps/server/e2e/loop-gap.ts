/*
 * To be preloaded into a server (BUN_OPTIONS=--preload=...): tells, on a port of its own, for how long its event loop was
 * held at the most. In processor time of the loop's own thread, against a unit of work that is done beside it, so that
 * neither a busy machine nor a slow one counts. Linux only.
 */
import { dlopen, ptr } from "bun:ffi";

const { symbols } = dlopen("libc.so.6", { clock_gettime: { args: ["int", "ptr"], returns: "int" } });
const CLOCK_THREAD_CPUTIME_ID = 3;
/** struct timespec */
const time = new BigInt64Array(2);
const timePointer = ptr(time);

/** Milliseconds that this thread has run. */
function processorTime(): number {
  symbols.clock_gettime(CLOCK_THREAD_CPUTIME_ID, timePointer);
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

/** What takes 10 ms on the machine where the limit was set (JSC of Bun 1.4.5, 2026). */
const UNIT = JSON.stringify(Array.from({ length: 24_000 }, (_, at) => ({ a: at, b: "x" })));
function unitOfWork(): number {
  const before = processorTime();
  for (let round = 0; round < 15; round++) JSON.parse(UNIT);
  return processorTime() - before;
}

for (let warm = 0; warm < 5; warm++) unitOfWork();
let longest = 0;
let last = processorTime();
const turn = (): void => {
  const now = processorTime();
  longest = Math.max(longest, now - last);
  last = processorTime();
  setImmediate(turn);
};
setImmediate(turn);

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch() {
    // The shortest: whatever else came in between has made it longer.
    const unit = Math.min(...Array.from({ length: 5 }, unitOfWork));
    const gap = longest;
    longest = 0;
    last = processorTime();
    return Response.json({ gap, unit });
  },
});
await Bun.write(process.env["LOOP_GAP_PORT"]!, String(server.port));
