import { describe, expect, test } from "bun:test";
import { createFakePlatform } from "./fake-source.ts";
import { FEEDS } from "./feeds-shown.ts";
import { Feeds } from "./feeds.ts";
import type { Message } from "./messages.ts";

function createFeeds() {
  const fake = createFakePlatform();
  const messages: Message[] = [];
  const feeds = new Feeds(fake.platform, (message) => messages.push(message));
  for (const { topic } of FEEDS) fake.source(topic).ready("fresh", 0, "e-1");
  const state = (name: string) => {
    for (const message of feeds.snapshots())
      if (message.tell === "snapshot" && message.snapshot.name === name) return message.snapshot.status;
    return null;
  };
  return { ...fake, feeds, messages, state };
}

describe("the sixth connection", () => {
  test("is never taken: the status feed is held while a job is followed, and resumes from its cursor", () => {
    const { feeds, connections, peak, source, state } = createFeeds();
    feeds.run({ do: "follow-job", topic: "demo/jobs/1" });
    expect(connections()).toBe(5);
    expect(state("status")).toEqual({ state: "paused", detail: "while the job runs", held: true });
    feeds.run({ do: "resume", feed: "status" });
    expect(connections()).toBe(5);

    source("demo/jobs/1").ready("fresh", 0, "e-2");
    source("demo/jobs/1").emit("sse:end", "{}");
    source("demo/jobs/1").drop();
    expect(connections()).toBe(5);
    source("demo/jobs/1").refuse();
    expect(state("job")?.state).toBe("ended");
    expect(source("demo/status").url).toEndWith("&lastEventId=e-1");
    expect([connections(), peak()]).toEqual([5, 5]);
  });

  test("a status feed that the reader paused stays paused", () => {
    const { feeds, source, state } = createFeeds();
    feeds.run({ do: "pause", feed: "status" });
    feeds.run({ do: "follow-job", topic: "demo/jobs/1" });
    source("demo/jobs/1").emit("sse:end", "{}");
    source("demo/jobs/1").refuse();
    expect(state("status")).toEqual({ state: "paused", detail: "", held: false });
  });

  test("pausing the job lends the connection back, resuming it takes it again", () => {
    const { feeds, connections, state } = createFeeds();
    feeds.run({ do: "follow-job", topic: "demo/jobs/1" });
    feeds.run({ do: "pause", feed: "job" });
    expect(state("status")?.state).toBe("connecting");
    feeds.run({ do: "resume", feed: "job" });
    expect(state("status")?.state).toBe("paused");
    expect(connections()).toBe(5);
  });
});

test("a new job takes the place of the last, even under the same topic", () => {
  const { feeds, connections, sources } = createFeeds();
  feeds.run({ do: "follow-job", topic: "demo/jobs/1" });
  const before = sources.length;
  feeds.run({ do: "follow-job", topic: "demo/jobs/1" });
  expect(sources).toHaveLength(before + 1);
  expect(connections()).toBe(5);
});

test("a job that falls silent is let go; one that has ended is not touched", () => {
  const { feeds, source, state, advance } = createFeeds();
  feeds.run({ do: "follow-job", topic: "demo/jobs/1" });
  source("demo/jobs/1").ready("fresh", 0, "e-2");
  advance(14_000);
  source("demo/jobs/1").emit("progress", "{}", "e-3");
  advance(14_000);
  expect(state("job")?.state).toBe("open");
  advance(1_000);
  expect(state("job")).toEqual({ state: "paused", detail: "silent for 15 s", held: false });

  feeds.run({ do: "resume", feed: "job" });
  source("demo/jobs/1").emit("sse:end", "{}");
  source("demo/jobs/1").refuse();
  advance(60_000);
  expect(state("job")?.state).toBe("ended");
});

test("a job is given up as soon as its server is known to have restarted, and lends its connection back", () => {
  const { feeds, source, state } = createFeeds();
  feeds.run({ do: "follow-job", topic: "demo/jobs/1" });
  source("demo/jobs/1").ready("fresh", 0, "e-2");
  expect(state("status")?.state).toBe("paused");
  source("demo/jobs/1").emit("sse:gap", JSON.stringify({ reason: "epoch", from: "e-2", to: "f-0" }), "f-0");
  expect(state("job")).toEqual({ state: "paused", detail: "lost: the server has restarted", held: false });
  expect(state("status")?.state).toBe("connecting");
});

test("what a tab is told can be cloned to another thread, and a snapshot says as much as the messages did", () => {
  const { feeds, messages, source } = createFeeds();
  source("default").emit("message", "hello", "e-9");
  expect(structuredClone(messages)).toEqual(messages);
  const told = messages.flatMap((message) => (message.tell === "entry" ? [message.entry] : []));
  const shown = feeds
    .snapshots()
    .flatMap((message) => (message.tell === "snapshot" ? message.snapshot.entries : []));
  expect(shown).toEqual(told);
});
