import { expect, test } from "bun:test";
import type { ReadersOrder, ReadersReport } from "./readers.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, until } from "./sse-client.ts";

const STREAMS = 1000;
const STALLED = 100;
const EVENTS = 100_000;
const BATCH = 500;
const LOG_BYTES = 64 * 1024 * 1024;

test(`of ${STREAMS} streams ${STALLED} never read: the others get ${EVENTS} events in order, memory stays, and the stalled resume`, async () => {
  await using server = await ServerProcess.start(
    "--write-deadline",
    "6s",
    "--max-log-bytes",
    `${LOG_BYTES}B`,
  );
  const reports: ReadersReport[] = [];
  const readers = Bun.spawn(["bun", new URL("readers.ts", import.meta.url).pathname], {
    ipc: (message: ReadersReport) => void reports.push(message),
    stdout: "inherit",
    stderr: "inherit",
  });
  try {
    const reported = (kind: ReadersReport["kind"]): Promise<void> =>
      until(() => reports.some((report) => report.kind === kind), 90_000);
    const order: ReadersOrder = { port: server.port, streams: STREAMS, stalled: STALLED, last: EVENTS };
    readers.send(order);
    await reported("open");
    const before = await server.memory();
    let most = before;
    const data = "x".repeat(16);
    for (let first = 1; first <= EVENTS; first += BATCH) {
      const numbers = Array.from({ length: BATCH }, (_, at) => String(first + at).padStart(7, "0"));
      await publish(
        server.url,
        numbers.map((number) => ({ topic: "numbers", data: `${number} ${data}` })),
      );
      most = Math.max(most, await server.memory());
    }
    await reported("complete");
    most = Math.max(most, await server.memory());
    await reported("stalled streams closed");
    const stats = (await (await fetch(`${server.url}/stats`)).json()) as {
      closes: Record<string, number>;
      gaps: object;
    };
    expect(stats.closes.slow).toBe(STALLED);
    await reported("resumed");
    most = Math.max(most, await server.memory());
    expect(reports.flatMap(({ wrong }) => wrong)).toEqual([]);
    const after = (await (await fetch(`${server.url}/stats`)).json()) as typeof stats;
    expect(after.gaps).toEqual({ evicted: 0, epoch: 0, "unknown-id": 0, lag: 0 });
    console.log(`memory: ${before >> 20} MiB before, ${most >> 20} MiB at most`);
    expect((most - before - LOG_BYTES) / 2 ** 20).toBeLessThan(64);
  } finally {
    readers.kill();
  }
}, 180_000);
