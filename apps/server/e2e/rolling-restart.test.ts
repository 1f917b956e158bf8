import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@sse/hub/test/broker-process.ts";
import { NumberPublisher } from "./number-publisher.ts";
import type { Order, Report } from "./returning-readers.ts";
import { ServerProcess } from "./server-process.ts";
import { until } from "./sse-client.ts";

const STREAMS = 5000;
const RETRY = 100;
const WINDOW = 3000;
const BINS = 6;

test(`a node restarts under ${STREAMS} streams: all are told when to come back, spread out, and nothing is lost`, async () => {
  const folder = await mkdtemp(join(tmpdir(), "sse-restart-"));
  const port = await freePort(); // which none of the readers is given as its own
  const flags = `--port ${port} --log sqlite:${join(folder, "events.db")} --drain 2s --retry ${RETRY}ms --return-window ${WINDOW}ms`;
  const first = await ServerProcess.start(...flags.split(" "));
  const { url } = first;
  let second: ServerProcess | null = null;
  const reports: Report[] = [];
  const readers = Bun.spawn(["bun", new URL("returning-readers.ts", import.meta.url).pathname], {
    ipc: (message: Report) => void reports.push(message),
    stdout: "inherit",
    stderr: "inherit",
  });
  const send = (order: Order): void => readers.send(order);
  const reported = async (kind: Report["kind"]): Promise<Report> => {
    await until(() => reports.some((report) => report.kind === kind));
    return reports.find((report) => report.kind === kind)!;
  };
  using publisher = new NumberPublisher(url);
  try {
    send({ kind: "open", port, streams: STREAMS });
    await reported("open");
    const published = publisher.goOn(50);
    await until(() => publisher.number > 5);
    first.process.kill("SIGTERM");
    expect(await first.process.exited).toBe(0);
    second = await ServerProcess.start(...flags.split(" "));
    const { waits } = await reported("sent away");
    await reported("back");
    publisher.enough();
    await published;
    await publisher.next();
    send({ kind: "finish", last: publisher.number });
    expect((await reported("complete")).wrong).toEqual([]);

    const bins = Array<number>(BINS).fill(0);
    for (const wait of waits) bins[Math.floor(((wait - RETRY / 2) * BINS) / (WINDOW + 1))]!++;
    expect(bins.reduce((sum, bin) => sum + bin)).toBe(STREAMS);
    for (const bin of bins) expect(bin).toBeGreaterThan(STREAMS / BINS / 2);
    const { streams, resumes } = (await (await fetch(`${url}/stats`)).json()) as Record<string, unknown>;
    expect({ streams, resumes }).toEqual({
      streams: STREAMS,
      resumes: { fresh: 0, resumed: STREAMS, reset: 0 },
    });
  } finally {
    readers.kill("SIGKILL");
    for (const server of [first, second]) await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  }
});
