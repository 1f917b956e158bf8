import { describe, expect, test } from "bun:test";
import { linePath, strokesPath } from "./drawing.ts";
import { bytes, compact, duration, milliseconds } from "./quantity.ts";
import { type FeedState, type FeedStatus, NO_ROOM } from "./feed.ts";
import { jobProgress } from "./job-progress.ts";
import { summarize } from "./summary.ts";

const of = (...states: FeedState[]) => summarize(states.map((state): FeedStatus => ({ state, detail: "" })));

describe("summary", () => {
  test("is one sentence, for the worst that is true", () => {
    expect(of("open", "resumed", "gap")).toEqual({ state: "open", sentence: "All 3 feeds open" });
    expect(of("open", "paused")).toEqual({ state: "paused", sentence: "1 feed open, 1 paused" });
    expect(of("open", "open", "failed").sentence).toBe("2 feeds open, 1 reconnecting");
    expect(of("retrying", "failed", "paused").state).toBe("failed");
    expect(of("open", "connecting").sentence).toBe("Connecting");
  });
  test("says that the server is full, and not that there is no connection", () => {
    const full: FeedStatus = { state: "retrying", detail: NO_ROOM };
    const open: FeedStatus = { state: "open", detail: "" };
    expect(summarize([full, full, { ...full, detail: "", state: "connecting" }]).sentence).toBe(
      "The server is full. The feeds come back once there is room.",
    );
    expect(summarize([open, open, full]).sentence).toBe(
      "The server is full: 2 feeds open, 1 waiting for room",
    );
    expect(summarize([open, full, { state: "failed", detail: "" }]).sentence).toBe(
      "1 feed open, 2 reconnecting",
    );
  });
  test("says that the server wants a token", () => {
    const locked: FeedStatus = { state: "failed", detail: "the server wants a token, next try in 3 s" };
    expect(summarize([locked, { state: "open", detail: "" }])).toEqual({
      state: "open",
      sentence: "1 feed open, 1 wants a token",
    });
    expect(
      summarize([locked, { state: "open", detail: "" }, { state: "retrying", detail: "" }]).sentence,
    ).toBe("1 feed open, 1 reconnecting");
    expect(summarize([locked, { ...locked, state: "connecting", detail: "" }]).sentence).toBe(
      "The server wants a token, and this page has none.",
    );
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

test("quantities take as many places as a card has", () => {
  expect([0, 0.44, 12.5, 999, 1_024, 12_345, 4_560_000].map(compact)).toEqual([
    "0",
    "0.4",
    "12.5",
    "999",
    "1,024",
    "12.3k",
    "4.56M",
  ]);
  expect([0.854, 12.34, 1_204.6].map(milliseconds)).toEqual(["0.85", "12.3", "1,205"]);
  expect([512, 44_092_000, 1_610_612_736].map(bytes)).toEqual(["512 B", "42.0 MiB", "1.5 GiB"]);
  expect([0, 125, 93_784.5].map(duration)).toEqual(["0 s", "2 min 5 s", "1 d 2 h 3 min"]);
});
