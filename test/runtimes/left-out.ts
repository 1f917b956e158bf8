/** What is not run in other runtimes than Bun. */
export interface LeftOut {
  /** A file of tests, or the beginning of its path. */
  readonly file: string;
  /** One test of it; default: all. */
  readonly test?: string;
  /** The runtimes by the beginning of their names; default: all. */
  readonly runtime?: string;
  readonly reason: string;
  /** True: it fails now and then. Default: always, and who leaves it out in vain is told so. */
  readonly mayPass?: boolean;
}

export const LEFT_OUT: readonly LeftOut[] = [
  {
    file: "packages/hub/src/log/redis/redis-sentinel.test.ts",
    runtime: "deno",
    reason:
      "does not end there, for a cause that is not found yet; run in Bun or Node, it tests a log in Deno, too",
  },
  ...[
    "says when the reader is behind, and when it goes on; nothing is lost",
    "lets go of a write when the reader goes that was behind",
    "aborts: the reader sees that the body is not whole, and does not get the rest",
  ].map((name) => ({
    file: "packages/hub/src/sinks/node-http.test.ts",
    test: `HTTP/1.1, but not over TCP > sink contract: attachResponse, HTTP/1.1 over TLS > ${name}`,
    runtime: "deno",
    reason: "the test's client over TLS does not always pause there",
    mayPass: true,
  })),
  { file: "packages/hub/src/leak.test.ts", reason: "counts objects in the heap of JavaScriptCore" },
  { file: "packages/hub/src/sinks/bun-direct.test.ts", reason: "a stream that only Bun has" },
  {
    file: "packages/protocol/test/portable.test.ts",
    reason: "has the bundler of Bun, and runs Node and Deno itself",
  },
];
