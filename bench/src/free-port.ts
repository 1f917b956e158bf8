const FIRST = 10_000;
const COUNT = 10_000;
/** Test files that run at the same time do not draw from the same ports. */
const SLICES = 16;
const SLICE = Number(process.env.BUN_TEST_WORKER_ID ?? 0) % SLICES;

/** A port that nobody listens on, for a server that has to be told one; none of those that the system gives to clients. */
export function freePort(): number {
  for (;;) {
    const port = FIRST + Math.floor(((SLICE + Math.random()) * COUNT) / SLICES);
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
      return port;
    } catch {
      // Somebody listens on it.
    }
  }
}
