/** What is not run in other runtimes than Bun. */
export interface LeftOut {
  /** A file of tests, or the beginning of its path. */
  readonly file: string;
  /** One test of it; default: all. */
  readonly test?: string;
  /** The runtimes by the beginning of their names; default: all. */
  readonly runtime?: string;
  readonly reason: string;
}

export const LEFT_OUT: readonly LeftOut[] = [
  {
    file: "packages/hub/src/log/redis/redis-sentinel.test.ts",
    runtime: "deno",
    reason:
      "does not end there, for a cause that is not found yet; run in Bun or Node, it tests a log in Deno, too",
  },
  { file: "packages/hub/src/leak.test.ts", reason: "counts objects in the heap of JavaScriptCore" },
  { file: "packages/hub/src/sinks/bun-direct.test.ts", reason: "a stream that only Bun has" },
  {
    file: "packages/protocol/test/portable.test.ts",
    reason: "has the bundler of Bun, and runs Node and Deno itself",
  },
];
