const FIRST = 10_000;
const COUNT = 10_000;

/** A port that nobody listens on, for a server that has to be told one; none of those that the system gives to clients. */
export function freePort(): number {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
      return port;
    } catch {
      // Somebody listens on it.
    }
  }
}
