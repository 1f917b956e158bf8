import { describe, expect, test } from "bun:test";
import { createFakePlatform } from "./fake-source.ts";
import { Feed, type FeedEntry, MAX_DATA_LENGTH } from "./feed.ts";

function createFeed() {
  const fake = createFakePlatform();
  const states: string[] = [];
  const entries: FeedEntry[] = [];
  const feed = new Feed({
    url: "/events?topic=demo/ticker",
    platform: fake.platform,
    onStatus: ({ state, detail }) => states.push(detail === "" ? state : `${state}: ${detail}`),
    onEntry: (entry) => entries.push(entry),
  });
  feed.open();
  return { ...fake, feed, states, entries, source: () => fake.sources.at(-1)! };
}

describe("states", () => {
  test("a fresh stream goes from connecting to open", () => {
    const { states, source } = createFeed();
    expect([source().url, source().cursor]).toEqual(["/events?topic=demo/ticker", ""]);
    source().ready("fresh", 0, "e-1");
    expect(states).toEqual(["connecting", "open"]);
  });

  test("a dropped stream is retried by its EventSource and resumes", () => {
    const { states, source, sources } = createFeed();
    source().ready("fresh", 0, "e-1");
    source().drop();
    source().ready("resumed", 3, "e-1");
    expect(states.slice(2)).toEqual(["retrying: connection lost", "resumed: 3 replayed"]);
    expect(sources).toHaveLength(1);
  });

  test("a reset and its gap say why and which range, and leave a mark in the entries", () => {
    const { states, source, entries } = createFeed();
    source().ready("reset", 0, "old-9", "epoch");
    source().emit("sse:gap", '{"reason":"epoch","from":"old-9","to":"new-4"}', "new-4");
    source().emit("add", "some data", "new-5");
    expect(states.slice(1)).toEqual([
      "gap: the server has restarted, and what it held is gone",
      "gap: the server has restarted, and what it held is gone",
    ]);
    expect(entries).toEqual([
      { kind: "gap", reason: "epoch", from: "old-9", to: "new-4", at: 0 },
      { kind: "event", id: "new-5", type: "add", data: "some data", at: 0, replayed: false },
    ]);
  });

  test("who joins the stream of another tab is told no more than that it is open", () => {
    const { states, source } = createFeed();
    source().open();
    source().drop();
    source().open();
    source().open();
    expect(states).toEqual(["connecting", "open", "retrying: connection lost", "open"]);
  });

  test("an announced close is named, before and after", () => {
    const { states, source } = createFeed();
    source().ready("fresh", 0, "e-1");
    source().emit("sse:closing", '{"reason":"drain","retry":2000}');
    source().drop();
    source().drop();
    expect(states.slice(2)).toEqual([
      "closing: drain",
      "retrying: the server sends streams away",
      "retrying: the server sends streams away",
    ]);
  });

  test("an ended topic is left to the client, whose one more request closes it", () => {
    const { states, source, sources, feed } = createFeed();
    source().ready("fresh", 0, "e-1");
    source().emit("sse:end", '{"topic":"demo/ticker"}');
    expect(source().closed).toBe(false);
    source().drop();
    source().refuse(204);
    expect(states.slice(2)).toEqual(["closing: topic ended", "ended"]);
    feed.open();
    feed.pause();
    expect(sources).toHaveLength(1);
    expect(feed.state).toBe("ended");
  });

  test("events of any type are events, also those that are called like what a source tells", () => {
    const { states, source, entries } = createFeed();
    source().ready("fresh", 0, "e-1");
    for (const type of ["error", "open", "of my own"]) source().emit(type, "an event");
    expect(states).toEqual(["connecting", "open"]);
    expect(entries.map((entry) => entry.kind === "event" && entry.type)).toEqual([
      "error",
      "open",
      "of my own",
    ]);
  });
});

describe("refusals", () => {
  test("say what would help, and that they are tried again", () => {
    const { states, source, sources } = createFeed();
    source().refuse(401);
    expect(states.at(-1)).toBe("failed: the server wants a token, next try in 3 s");
    source().refuse(404);
    expect(states.at(-1)).toBe("failed: refused, next try in 3 s");
    source().refuse(503);
    expect(states.at(-1)).toBe("retrying: the server answered 503");
    source().ready("fresh", 0, "e-1");
    expect(states.at(-1)).toBe("open");
    expect(sources).toHaveLength(1);
  });

  test("that the client does not try again after are over when somebody asks again", () => {
    const { feed, states, source } = createFeed();
    source().ready("fresh", 0, "e-7");
    source().fail();
    expect(states.at(-1)).toBe("failed: refused");
    feed.open();
    expect([states.at(-1), source().cursor]).toEqual(["connecting", "e-7"]);
  });
});

describe("pause", () => {
  test("goes on from the cursor, which control events move too", () => {
    const { feed, source, sources } = createFeed();
    source().ready("fresh", 0, "e-3");
    feed.pause();
    expect(source().closed).toBe(true);
    feed.open();
    expect(source().cursor).toBe("e-3");
    source().emit("sse:gap", '{"reason":"lag","from":"e-3","to":"e-8"}', "e-8");
    feed.pause();
    feed.open();
    expect(source().cursor).toBe("e-8");
    expect(sources).toHaveLength(3);
  });

  test("ends the waiting of a client too, and opening twice opens once", () => {
    const { feed, source, sources } = createFeed();
    source().refuse(401);
    feed.pause();
    expect(source().closed).toBe(true);
    feed.open();
    feed.open();
    expect(sources).toHaveLength(2);
  });
});

describe("entries", () => {
  test("replays are marked, as many as were announced", () => {
    const { source, entries } = createFeed();
    source().ready("fresh", 2, "e-0");
    for (const id of ["e-1", "e-2", "e-3"]) source().emit("add", id, id);
    expect(entries.map((entry) => entry.kind === "event" && entry.replayed)).toEqual([true, true, false]);
  });

  test("their size is bounded", () => {
    const { source, entries } = createFeed();
    source().emit("message", "x".repeat(MAX_DATA_LENGTH + 1_000), "e-long");
    expect(entries).toMatchObject([{ data: expect.stringMatching(/x… \(1,000 more characters\)$/) }]);
  });

  test("control events that are not JSON objects do no harm", () => {
    const { source, states } = createFeed();
    source().emit("sse:ready", "nonsense", "e-1");
    source().emit("sse:gap", "null", "e-2");
    expect(states.slice(1)).toEqual(["open", "gap"]);
  });
});
