import { expect, test } from "bun:test";
import { createFakePlatform } from "./fake-source.ts";
import type { FeedStatus } from "./feed.ts";
import { type FeedName, FEEDS } from "./feeds-shown.ts";
import { Feeds } from "./feeds.ts";

function createFeeds() {
  const fake = createFakePlatform();
  const states = new Map<FeedName, FeedStatus>();
  const jobs: string[] = [];
  const feeds = new Feeds({
    platform: fake.platform,
    onStatus: (name, status) => states.set(name, status),
    onEntry: () => {},
    onJob: (topic) => jobs.push(topic),
  });
  feeds.open();
  for (const source of fake.sources) source.ready("fresh", 0, "e-1");
  return { ...fake, feeds, jobs, state: (name: FeedName) => states.get(name) };
}

test("three connections and a job leave two of the six for a reader and for requests", () => {
  const { feeds, connections } = createFeeds();
  expect(connections()).toBe(FEEDS.length);
  feeds.followJob("demo/jobs/1");
  expect(connections()).toBe(4);
});

test("a feed that is paused lets go of its connection, and goes on where it was", () => {
  const { feeds, connections, source, state } = createFeeds();
  source("default").emit("message", "hello", "e-9");
  feeds.pause("board");
  expect([connections(), state("board")?.state]).toEqual([2, "paused"]);
  feeds.resume("board");
  expect(source("default").cursor).toBe("e-9");
});

test("with a new token all ask again at once, but for those that rest", () => {
  const { feeds, sources, source, state } = createFeeds();
  feeds.pause("board");
  source("demo/random").refuse(401);
  expect(state("demos")?.state).toBe("failed");
  const before = sources.length;
  feeds.reopen();
  expect(sources).toHaveLength(before + 2);
  expect([state("demos")?.state, state("board")?.state]).toEqual(["connecting", "paused"]);
});

test("a new job takes the place of the last, even under the same topic", () => {
  const { feeds, connections, sources, jobs } = createFeeds();
  feeds.followJob("demo/jobs/1");
  const before = sources.length;
  feeds.followJob("demo/jobs/1");
  expect(sources).toHaveLength(before + 1);
  expect(connections()).toBe(4);
  expect(jobs).toEqual(["demo/jobs/1", "demo/jobs/1"]);
});

test("a job that falls silent is let go; one that has ended is not touched", () => {
  const { feeds, source, state, advance } = createFeeds();
  feeds.followJob("demo/jobs/1");
  source("demo/jobs/1").ready("fresh", 0, "e-2");
  advance(14_000);
  source("demo/jobs/1").emit("progress", "{}", "e-3");
  advance(14_000);
  expect(state("job")?.state).toBe("open");
  advance(1_000);
  expect(state("job")).toEqual({ state: "paused", detail: "silent for 15 s" });

  feeds.resume("job");
  source("demo/jobs/1").emit("sse:end", "{}");
  source("demo/jobs/1").refuse(204);
  advance(60_000);
  expect(state("job")?.state).toBe("ended");
});

test("a job is given up as soon as its server is known to have restarted", () => {
  const { feeds, source, state } = createFeeds();
  feeds.followJob("demo/jobs/1");
  source("demo/jobs/1").ready("fresh", 0, "e-2");
  source("demo/jobs/1").emit("sse:gap", JSON.stringify({ reason: "epoch", from: "e-2", to: "f-0" }), "f-0");
  expect(state("job")).toEqual({ state: "paused", detail: "lost: the server has restarted" });
});
