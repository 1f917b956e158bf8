import { heapStats } from "bun:jsc";
import { cpuTime } from "./cpu-time.ts";

/*
 * Loaded into the server before its own code. Tells how long the event loop was held, in time that its thread has run for:
 * on a busy machine a thread waits for its turn, which is nobody's fault. Tells of memory when it gets SIGUSR2.
 */

const LOOK_EVERY = 5;
/** What is shorter is not worth a line, in milliseconds. */
const WORTH_TELLING = 25;

let last = cpuTime();
setInterval(() => {
  const now = cpuTime();
  const held = now - last;
  last = now;
  if (held > WORTH_TELLING) console.log(JSON.stringify({ message: "loop held", held }));
}, LOOK_EVERY).unref();

process.on("SIGUSR2", () => {
  Bun.gc(true);
  const { heapSize, extraMemorySize, objectTypeCounts } = heapStats();
  const { Request = 0, Response = 0, ReadableStream = 0 } = objectTypeCounts;
  const live = Request + Response + ReadableStream;
  console.log(JSON.stringify({ message: "memory", heap: heapSize + extraMemorySize, live }));
  last = cpuTime();
});
