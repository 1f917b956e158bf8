import { expect, test } from "bun:test";
import type { Socket } from "bun";
import type { ReadersOrder, ReadersReport } from "./readers.ts";
import { ServerProcess } from "./server-process.ts";
import { publish, SseClient, until } from "./sse-client.ts";

const STREAMS = 300;
const STALLED = 100;
const EVENTS = 100_000;
const BATCH = 500;
const LOG_BYTES = 64 * 1024 * 1024;

test(`of ${STREAMS} streams ${STALLED} never read: the others get ${EVENTS} events in order, memory stays, and the stalled resume`, async () => {
  await using server = await ServerProcess.start(
    "--write-deadline",
    "10s",
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
      until(() => reports.some((report) => report.kind === kind));
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
});

/** A stream that nobody reads once it has begun. */
async function openStalled(port: number, topics: readonly string[]): Promise<Socket> {
  const begun = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (opened) => {
        const query = topics.map((topic) => `topic=${topic}`).join("&");
        opened.write(`GET /events?${query} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
      },
      data: (opened, bytes) => {
        if (!bytes.includes("sse:ready")) return;
        opened.pause();
        begun.resolve();
      },
      error: () => {},
    },
  });
  await begun.promise;
  return socket;
}

test("/stats names the ten streams that are furthest behind, with what they read, their age, and how far", async () => {
  interface Slow {
    topics: string[];
    state: string;
    age: number;
    lag: number;
  }
  interface Stats {
    streams: number;
    blocked: number;
    published: number;
    slowest: Slow[];
  }
  await using server = await ServerProcess.start("--no-demos", "--write-deadline", "off");
  const stats = async (): Promise<Stats> => (await (await fetch(`${server.url}/stats`)).json()) as Stats;
  const lagMax = async (): Promise<string> => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return /^sse_streams_lag_max (.+)$/m.exec(text)![1]!;
  };
  await using reader = await SseClient.open(`${server.url}/events?topic=small`);
  const events = Array.from({ length: 20 }, () => ({ topic: "flood", data: "x".repeat(64 * 1024) }));
  const sockets: Socket[] = [];
  const opened: number[] = [];
  try {
    // One after the other, so that each is further behind than the next.
    while (sockets.length < 12) {
      sockets.push(await openStalled(server.port, ["flood", `of/${sockets.length}`]));
      opened.push(performance.now());
      await until(async () => {
        await publish(server.url, events);
        return (await stats()).blocked === sockets.length;
      });
    }
    await publish(server.url, { topic: "small", data: "is read" });
    expect(await reader.receive(1)).toEqual(["is read"]);
    const asked = performance.now();
    const { slowest, streams, published } = await stats();
    expect(streams).toBe(sockets.length + 1);
    expect(slowest.map(({ topics }) => topics.toSorted())).toEqual(
      Array.from({ length: 10 }, (_, at) => ["flood", `of/${at}`]),
    );
    for (const [at, { state, age, lag }] of slowest.entries()) {
      expect(state).toBe("blocked");
      expect(age).toBeGreaterThanOrEqual(Math.floor(asked - opened[at]!));
      expect(lag).toBeGreaterThan(0);
      expect(lag).toBeLessThan(at === 0 ? published : slowest[at - 1]!.lag);
    }
    expect(await lagMax()).toBe(`${slowest[0]!.lag}`);
  } finally {
    for (const socket of sockets) socket.terminate();
  }
  await until(async () => (await stats()).slowest.length === 0);
  expect(await lagMax()).toBe("0");
});
