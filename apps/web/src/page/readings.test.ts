import { describe, expect, test } from "bun:test";
import { linePath, strokesPath } from "./drawing.ts";
import type { FeedState, FeedStatus } from "./feed.ts";
import { jobProgress } from "./job-progress.ts";
import { statusFields } from "./status-fields.ts";
import { summarize } from "./summary.ts";

test("the status is shown by what the fields' names say they are", () => {
  const fields = statusFields({
    uptime: 93_784.5,
    memory: { rss: 44_092_000, heapUsed: 512 },
    streams: 12_345,
    writeMs: 0.25,
    bytesSent: 1_610_612_736,
    draining: false,
    log: "memory:",
    addresses: ["a"],
  });
  expect(fields.map(({ name, value }) => `${name} = ${value}`)).toEqual([
    "uptime = 1 d 2 h 3 min",
    "memory rss = 42.0 MiB",
    "memory heap used = 512 B",
    "streams = 12,345",
    "write ms = 0.25 ms",
    "bytes sent = 1.5 GiB",
    "draining = no",
    "log = memory:",
    'addresses = ["a"]',
  ]);
});

const of = (...states: FeedState[]) =>
  summarize(states.map((state): FeedStatus => ({ state, detail: "", held: false })));

describe("summary", () => {
  test("is one sentence, for the worst that is true", () => {
    expect(of("open", "resumed", "gap")).toEqual({ state: "open", sentence: "All 3 feeds open" });
    expect(of("open", "paused")).toEqual({ state: "paused", sentence: "1 feed open, 1 paused" });
    expect(of("open", "open", "failed").sentence).toBe("2 feeds open, 1 reconnecting");
    expect(of("retrying", "failed", "paused").state).toBe("failed");
    expect(of("open", "connecting").sentence).toBe("Connecting");
  });
  test("says that the server wants a token", () => {
    const locked: FeedStatus = {
      state: "failed",
      detail: "the server wants a token, next try in 3 s",
      held: false,
    };
    expect(summarize([locked, { ...locked, state: "connecting", detail: "" }]).sentence).toBe(
      "The server wants a token, and this page has none.",
    );
  });

  test("a feed that waits for the job is not the reader's pause", () => {
    const held: FeedStatus = { state: "paused", detail: "", held: true };
    const open: FeedStatus = { state: "open", detail: "", held: false };
    expect(summarize([open, held])).toEqual({
      state: "open",
      sentence: "1 feed open, 1 waiting for the job",
    });
  });
});

const entry = (type: string, data: string) =>
  ({ kind: "event", id: "e-1", type, data, at: 0, replayed: false }) as const;

test("a job's progress is read off its events, whatever else is among them", () => {
  const entries = [
    { kind: "gap", reason: "lag", from: null, to: "e-1", at: 0 } as const,
    entry("progress", '{"status":"in_progress","completion":51.22}'),
    entry("progress", "not JSON"),
    entry("message", '{"completion":99}'),
  ];
  expect(jobProgress([])).toEqual({ completion: 0, done: false });
  expect(jobProgress(entries)).toEqual({ completion: 51.22, done: false });
  expect(jobProgress([...entries, entry("progress", '{"completion":140}')]).completion).toBe(100);
  expect(jobProgress([...entries, entry("status", "Done")])).toEqual({ completion: 100, done: true });
});

test("drawings fill their box and stay in it", () => {
  expect(linePath([5], 100, 30, 3)).toBe("");
  expect(linePath([1, 3, 2], 100, 30, 3)).toBe("M0.0 30.0L50.0 0.0L100.0 15.0");
  expect(linePath([7, 7], 100, 30, 3)).toBe("M50.0 30.0L100.0 30.0");
  expect(strokesPath([-5, 0, 5, 10], 10, 10, 100, 20)).toBe("M0.0 0V20M50.0 0V20M100.0 0V20");
});
