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

  test("an ended topic is left to the browser, whose one more request closes it", () => {
    const { states, source, sources, advance, feed } = createFeed();
    source().ready("fresh", 0, "e-1");
    source().emit("sse:end", '{"topic":"demo/ticker"}');
    expect(source().readyState).toBe(1);
    source().drop();
    source().refuse();
    expect(states.slice(2)).toEqual(["closing: topic ended", "ended"]);
    advance(3_600_000);
    feed.open();
    feed.pause();
    expect(sources).toHaveLength(1);
    expect(feed.state).toBe("ended");
  });

  test("an event of the type error on an open stream changes nothing", () => {
    const { states, source } = createFeed();
    source().ready("fresh", 0, "e-1");
    source().emit("error", "an event, not a failure");
    expect(states).toEqual(["connecting", "open"]);
  });
});

describe("refusals", () => {
  test("a refused feed asks again from its cursor, later each time, 30 s at most", () => {
    const { states, source, sources, advance } = createFeed();
    source().ready("fresh", 0, "e-7");
    const waits = [];
    for (let attempt = 0; attempt < 6; attempt++) {
      const before = sources.length;
      source().refuse();
      let waited = 0;
      while (sources.length === before) advance(((waited += 500), 500));
      waits.push(waited);
    }
    expect(waits).toEqual([3_000, 5_000, 9_000, 16_000, 16_000, 16_000]);
    expect(states[2]).toBe("failed: refused, next try in 3 s");
    expect(source().cursor).toBe("e-7");
  });

  test("a feed that is refused for want of a token says so", () => {
    const { states, source, advance } = createFeed();
    source().refuse(401);
    expect(states.at(-1)).toBe("failed: the server wants a token, next try in 3 s");
    advance(3_000);
    source().refuse(404);
    expect(states.at(-1)).toStartWith("failed: refused, next try in");
  });

  test("an answer that will be tried again is named", () => {
    const { states, source } = createFeed();
    source().drop(503);
    expect(states.at(-1)).toBe("retrying: the server answered 503");
  });

  test("a stream that opens forgets earlier refusals", () => {
    const { states, source, advance } = createFeed();
    source().refuse();
    advance(3_000);
    source().ready("fresh", 0, "e-1");
    source().refuse();
    expect(states.at(-1)).toBe("failed: refused, next try in 3 s");
  });
});

describe("pause", () => {
  test("goes on from the cursor, which control events move too", () => {
    const { feed, source, sources } = createFeed();
    source().ready("fresh", 0, "e-3");
    feed.pause();
    expect(source().readyState).toBe(2);
    feed.open();
    expect(source().cursor).toBe("e-3");
    source().emit("sse:gap", '{"reason":"lag","from":"e-3","to":"e-8"}', "e-8");
    feed.pause();
    feed.open();
    expect(source().cursor).toBe("e-8");
    expect(sources).toHaveLength(3);
  });

  test("cancels a retry, and opening twice opens once", () => {
    const { feed, source, sources, advance } = createFeed();
    source().refuse();
    feed.pause();
    advance(60_000);
    expect(sources).toHaveLength(1);
    feed.open();
    feed.open();
    expect(sources).toHaveLength(2);
  });

  test("a source that was let go is not heard any more", () => {
    const { feed, source, entries, states } = createFeed();
    const old = source();
    old.ready("fresh", 0, "e-1");
    feed.pause();
    old.emit("add", "late", "e-2");
    old.drop();
    expect(entries).toEqual([]);
    expect(states.at(-1)).toBe("paused");
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
