import { afterAll, describe, expect, test } from "bun:test";
import { appendAtOnce } from "../../../test/append-at-once.ts";
import fc from "fast-check";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, control, dataOf } from "../../../test/client.ts";
import { createHub } from "../../hub.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { parseTopic, SelectorSet } from "../../topics/topic.ts";
import { formatEventId } from "../event-id.ts";
import type { Position, PositionRequest } from "../event-log.ts";
import { ENDS } from "../retention.ts";
import { rowsOf } from "../../../test/database.ts";
import { SQLITE_LOG_DEFAULTS, SqliteLog, type SqliteLogOptions } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "sse-position-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, `${++files}.db`);

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

interface Asked extends Partial<Omit<PositionRequest, "selectors">> {
  /** As the log's current epoch has it. */
  readonly after?: number;
}

function ask(log: SqliteLog, topics: readonly string[], { after, ...more }: Asked = {}) {
  const lastEventId = after === undefined ? "" : formatEventId(log.bounds().epoch, after);
  return log.position({
    selectors: new SelectorSet(topics),
    lastEventId,
    replay: 0,
    counted: true,
    ...more,
  });
}

/** One that can be put forward without a turn of every timer on the way. */
class JumpingClock extends ManualClock {
  jump = 0;
  override now(): number {
    return super.now() + this.jump;
  }
}

/** Lets one slice of the log run after the other, with something else in between, until the answer is there. */
async function answered<T>(clock: ManualClock, answer: T | Promise<T>, between: () => void): Promise<T> {
  const watch = { isThere: false };
  const watched = Promise.resolve(answer).finally(() => (watch.isThere = true));
  for (let slices = 0; !watch.isThere; slices++) {
    if (slices > 300) throw new Error("there is no answer");
    clock.turn();
    for (let at = 0; at < 8; at++) await Promise.resolve();
    if (!watch.isThere) between();
  }
  return watched;
}

describe("a topic that ends while a stream begins", () => {
  test.each<[string, string[], boolean]>([
    ["in the turn before", ["t"], true],
    ["in the turn after", ["t"], false],
    ["of which there are several, in the turn before", ["t", "t/2"], true],
    ["of which there are several, in the turn after", ["t", "t/2"], false],
    ["that had ended, and begins anew", ["ended"], true],
  ])("%s, tells the client all of it", async (_, topics, isBefore) => {
    const path = newPath();
    const before = new SqliteLog(path, { window: { maxEvents: 4 } });
    appendAtOnce(before, [newEvent("t", "1"), newEvent("t/2", "1")]);
    const [lastEventId] = appendAtOnce(before, [newEvent("ended", "", { end: true })]);
    for (const at of numbers(20)) appendAtOnce(before, [newEvent("u", `${at}`)]);
    before.close();
    const clock = new ManualClock();
    const hub = createHub({ log: new SqliteLog(path, { clock, window: { maxEvents: 4 } }), clock });
    const publish = (): void => {
      for (const topic of topics) void hub.publish(topic, { data: `the result of ${topic}`, end: true });
    };
    if (isBefore) publish();
    const client = connect(hub, { topics, lastEventId: lastEventId! });
    expect(client.opening).toBeNull(); // the file is asked
    if (!isBefore) publish();
    await clock.settle();
    expect(client.opening).toMatchObject({ over: false, resume: "resumed", gap: null });
    expect(dataOf(client.sink)).toEqual(topics.map((topic) => `the result of ${topic}`));
    expect(control(client.sink, "sse:end")).toEqual(topics.map((topic) => ({ topic })));
    expect(client.stream.state).toBe("closed");
    await hub.close();
  });

  test("is in the answer whole or not at all, whenever it comes", async () => {
    const path = newPath();
    const before = new SqliteLog(path);
    const [lastEventId] = appendAtOnce(before, [newEvent("t", "1")]);
    appendAtOnce(
      before,
      numbers(5000).map((at) => newEvent(`u/${at}`, "")),
    );
    before.close();
    for (const topics of [["t"], ["t", "u/1/*"], ["t", "**"]]) {
      for (let turns = 0; turns < 6; turns++) {
        const clock = new ManualClock();
        const log = new SqliteLog(path, { clock, window: { maxEvents: 4 } });
        const { last } = log.bounds();
        let left = turns;
        const end = (): void => {
          if (left-- === 0) appendAtOnce(log, [newEvent("t", "2"), newEvent("t", "", { end: true })]);
        };
        const asked = ask(log, topics, { lastEventId: lastEventId!, counted: false });
        end();
        const position = await answered(clock, asked, end);
        expect([position.upTo, position.ends[0]!]).toEqual(
          position.upTo === last ? [last, 0] : [last + 2, last + 2],
        );
        appendAtOnce(log, [newEvent("t", "1")]); // begins anew
        log.close();
      }
    }
  });
});

describe("an answer that takes several slices", () => {
  /** A file of which much is evicted with each append, as its bound is lower than it was. */
  async function shrinking(): Promise<{ log: SqliteLog; clock: ManualClock; append: () => void }> {
    const path = newPath();
    const before = new SqliteLog(path);
    for (let at = 0; at < 15_000; at += 1000)
      appendAtOnce(
        before,
        numbers(1000).map((i) => newEvent(`t/${(at + i) % 1500}`, "")),
      );
    before.close();
    const clock = new ManualClock();
    const options: SqliteLogOptions = { clock, window: { maxEvents: 10 }, maxEvents: 15_000 };
    const log = new SqliteLog(path, options);
    let at = 15_000;
    const append = (): void => {
      appendAtOnce(
        log,
        numbers(500).map(() => newEvent(`t/${at++ % 1500}`, "")),
      );
    };
    return { log, clock, append };
  }

  const limits = { bytes: Infinity, upTo: Infinity };

  test.each<[string, string[]]>([
    ["of so many topics that all events are looked at", ["t/*"]],
    ["of some topics", numbers(50).map((at) => `t/${at}`)],
  ])("%s hides no event that is evicted meanwhile", async (_, topics) => {
    const { log, clock, append } = await shrinking();
    const selectors = new SelectorSet(topics);
    const first = log.bounds().last;
    for (const request of [{ after: 100 }, { replay: 300 }, { replay: 14_000 }, { replay: Infinity }]) {
      const asked = log.bounds().last;
      const position = await answered(clock, ask(log, topics, request), append);
      expect(position.upTo).toBeGreaterThanOrEqual(asked);
      expect(position.cursor).toBeLessThanOrEqual(position.upTo);
      // What a stream would be told that reads on from there: everything, or that something is missing.
      let { cursor } = position;
      const seen: number[] = [];
      while (cursor < log.bounds().last) {
        const page = await answered(clock, log.read(cursor, selectors, limits), () => {});
        if (page.from > cursor) seen.length = 0; // told a gap up to there
        seen.push(...page.entries.map(({ seq }) => seq));
        cursor = page.cursor;
      }
      const missing = numbers(log.bounds().last)
        .map((at) => at + 1)
        .filter((seq) => seq >= (seen[0] ?? 0) && selectors.matches(parseTopic(`t/${(seq - 1) % 1500}`)));
      expect(seen).toEqual(missing);
      expect(seen.length).toBeGreaterThan(200);
    }
    expect(log.bounds().last).toBeGreaterThan(first); // there were slices
    log.close();
  });

  test("gives a client that has no cursor what is left, and no gap", async () => {
    const { log, clock, append } = await shrinking();
    const position = await answered(clock, ask(log, ["t/*"], { replay: 14_900, counted: false }), append);
    expect(position).toMatchObject({ resume: "fresh", gap: null });
    expect(position.cursor).toBeGreaterThan(100); // some went meanwhile
    const page = await answered(clock, log.read(position.cursor, new SelectorSet(["t/*"]), limits), () => {});
    expect(page.from).toBe(position.cursor);
    log.close();
  });

  test("comes for every one of more patterns than are remembered", async () => {
    const path = newPath();
    const before = new SqliteLog(path);
    appendAtOnce(
      before,
      numbers(5200).map((at) => newEvent(`a/${at % 260}/${at}`, "")),
    );
    before.close();
    const clock = new ManualClock();
    const log = new SqliteLog(path, { clock, window: { maxEvents: 1 } });
    const answers = Promise.all(numbers(260).map(async (at) => ask(log, [`a/${at}/*`], { after: 0 })));
    const positions = await answered(clock, answers, () => {});
    expect(positions.map(({ replayed }) => replayed)).toEqual(numbers(260).map(() => 20));
    log.close();
  });
});

describe("the end of a topic whose events are evicted", () => {
  const fill = (log: SqliteLog): void =>
    void appendAtOnce(
      log,
      numbers(20).map((at) => newEvent("u", `${at}`)),
    );
  /** How many the file has that ended with an evicted event. Closes the log. */
  const endedTopics = (path: string, log: SqliteLog): number => {
    log.close();
    return rowsOf(path, "SELECT name FROM topics WHERE ended").length;
  };
  /** In memory, in the file, and a restart later. */
  const KINDS: [string, SqliteLogOptions, boolean][] = [
    ["a log that is all in memory", {}, false],
    ["a log of which little is in memory", { window: { maxEvents: 3 } }, false],
    ["the next process", {}, true],
    ["the next process with little in memory", { window: { maxEvents: 3 } }, true],
  ];

  test.each(KINDS)("is told by %s", async (_, options, isReopened) => {
    const path = newPath();
    const open = () => new SqliteLog(path, { maxEvents: 10, ...options });
    let log = open();
    const [one, end] = appendAtOnce(log, [newEvent("t", "1"), newEvent("t", "", { end: true })]);
    fill(log);
    if (isReopened) log.close();
    if (isReopened) log = open();
    expect(await ask(log, ["t"], { lastEventId: end! })).toMatchObject({
      resume: "resumed",
      gap: null,
      ends: [2],
      cursor: 2,
    });
    const late = await ask(log, ["t"], { lastEventId: one! });
    expect(late).toMatchObject({ resume: "reset", gap: "evicted", ends: [2] });
    expect(late.cursor).toBeGreaterThanOrEqual(2);
    expect((await ask(log, ["u", "t", "none"])).ends).toEqual([0, 2, 0]);
    appendAtOnce(log, [newEvent("t", "2")]); // begins anew
    expect((await ask(log, ["t"])).ends).toEqual([0]);
    fill(log);
    if (isReopened) log.close();
    if (isReopened) log = open();
    expect((await ask(log, ["t"])).ends).toEqual([0]);
    appendAtOnce(log, [newEvent("t", "", { end: true })]);
    fill(log);
    expect((await ask(log, ["t"])).ends).toEqual([44]);
    expect(endedTopics(path, log)).toBe(1);
    log = open();
    appendAtOnce(log, [newEvent("t", "3")]);
    expect(endedTopics(path, log)).toBe(0);
  });

  test.each([false, true])(
    "closes streams, and answers 204 to who has had it (restarted: %p)",
    async (isReopened) => {
      const path = newPath();
      const clock = new ManualClock();
      const open = () => {
        const log = new SqliteLog(path, { clock, maxEvents: 10, window: { maxEvents: 3 } });
        return { log, hub: createHub({ log, clock }) };
      };
      let { log, hub } = open();
      const [one, end] = appendAtOnce(log, [newEvent("t", "1"), newEvent("t", "", { end: true })]);
      fill(log);
      if (isReopened) await hub.close();
      if (isReopened) ({ log, hub } = open());
      const [over, late] = [connect(hub, { lastEventId: end! }), connect(hub, { lastEventId: one! })];
      await clock.settle();
      expect(over.opening).toMatchObject({ over: true });
      expect(late.opening).toMatchObject({ over: false, gap: "evicted" });
      expect(control(late.sink, "sse:end")).toEqual([{ topic: "t" }]);
      expect(late.stream.state).toBe("closed");
      await hub.close();
    },
  );

  test("is told after the longest age of an event", async () => {
    const clock = new JumpingClock();
    const log = new SqliteLog(newPath(), { clock });
    appendAtOnce(log, [newEvent("t", "", { end: true })]);
    clock.jump = SQLITE_LOG_DEFAULTS.maxAge + 1;
    await clock.advance(1000);
    expect(log.bounds().events).toBe(0);
    appendAtOnce(log, [newEvent("u", "")]);
    expect(await ask(log, ["t"], { after: 1 })).toMatchObject({ resume: "resumed", ends: [1] });
    log.close();
  });

  test("is forgotten after a while, counted from its eviction, and when there are too many", async () => {
    const path = newPath();
    let date = 1000;
    const options = { maxEvents: 1, maxAge: null, window: { maxEvents: 1 } };
    const open = () => new SqliteLog(path, { ...options, clock: new ManualClock(), date: () => date });
    const isEnded = async (topic: string): Promise<boolean> => {
      log.close();
      log = new SqliteLog(path, { ...options, date: () => date }); // by a clock that goes on by itself
      return (await ask(log, [topic])).ends[0]! > 0;
    };
    const pass = (time: number): void => {
      log.close();
      date += time;
      log = open();
    };
    let log = open();
    appendAtOnce(log, [newEvent("t", "", { end: true })]);
    pass(ENDS.age);
    appendAtOnce(log, [newEvent("u", "", { end: true })]); // t is evicted
    pass(ENDS.age);
    appendAtOnce(log, [newEvent("v", "", { end: true })]);
    expect([await isEnded("t"), await isEnded("u")]).toEqual([true, true]);
    pass(1);
    appendAtOnce(log, [newEvent("w", "")]);
    expect([await isEnded("t"), await isEnded("u")]).toEqual([false, true]);
    for (let at = 0; at < ENDS.topics + 2000; at += 1000)
      appendAtOnce(
        log,
        numbers(1000).map((i) => newEvent(`many/${at + i}`, "", { end: true })),
      );
    expect(await isEnded("u")).toBe(false);
    expect(await isEnded("many/3000")).toBe(true);
    log.close();
    const [[ended, empty]] = rowsOf(path, "SELECT sum(ended > 0), sum(empty) FROM topics") as [
      [number, number],
    ];
    expect(ended).toBeGreaterThanOrEqual(ENDS.topics);
    expect(ended).toBeLessThan(ENDS.topics + 2100);
    expect(empty).toBeLessThan(2 * ENDS.topics + 2100);
  });
});

test("tells no gap to a topic that lost nothing, also when all that is left is in memory", async () => {
  const path = newPath();
  const log = new SqliteLog(path, { maxEvents: 10 });
  const [, rare] = appendAtOnce(log, [newEvent("rare", "1"), newEvent("rare", "2")]);
  for (const at of numbers(100)) appendAtOnce(log, [newEvent("busy", `${at}`)]);
  log.close();
  const again = new SqliteLog(path, { maxEvents: 10 });
  expect(await ask(again, ["rare"], { lastEventId: rare! })).toMatchObject({ resume: "resumed", gap: null });
  expect(await ask(again, ["never"], { lastEventId: rare! })).toMatchObject({ resume: "resumed", gap: null });
  expect(await ask(again, ["busy"], { lastEventId: rare! })).toMatchObject({ gap: "evicted", cursor: 92 });
  again.close();
});

/** What the log was given, whether or not it still has it. */
interface Model {
  readonly events: { readonly topic: string; readonly end: boolean; readonly id: string }[];
}

function expected(
  { events }: Model,
  { first, last, epoch }: { first: number; last: number; epoch: string },
  topics: readonly string[],
  after: number | null,
  replay: number,
): Position {
  const set = new SelectorSet(topics);
  const selected = events
    .map(({ topic }, at) => ({ seq: at + 1, topic: parseTopic(topic) }))
    .filter(({ topic }) => set.matches(topic))
    .map(({ seq }) => seq);
  const held = selected.filter((seq) => seq >= first);
  const wanted = replay === 0 ? last : replay <= held.length ? held.at(-replay)! - 1 : 0;
  const asked = after ?? wanted;
  const lost = selected.findLast((seq) => seq > asked && seq < first);
  // A pattern is told of everything that is gone, of its topics or not.
  const from =
    set.patterns.length > 0
      ? Math.max(asked, first - 1)
      : after === null && wanted > 0
        ? asked
        : (lost ?? asked);
  const isGap = after !== null && from > asked;
  return {
    epoch,
    upTo: last,
    cursor: from,
    resume: after === null ? "fresh" : isGap ? "reset" : "resumed",
    gap: isGap ? "evicted" : null,
    replayed: held.filter((seq) => seq > from).length,
    ends: set.topics.map((topic) => {
      const newest = events.findLastIndex((event) => event.topic === topic);
      return newest !== -1 && events[newest]!.end ? newest + 1 : 0;
    }),
  };
}

test("a position is what a model says, whatever was appended, evicted, and opened again", async () => {
  const event = fc.record({ topic: fc.constantFrom("a", "b", "c", "d/1", "d/2"), end: fc.boolean() });
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.array(event, { minLength: 1, maxLength: 8 }) },
    { weight: 1, arbitrary: fc.constant("reopen" as const) },
  );
  const question = fc.record({
    topics: fc.constantFrom(["a"], ["a", "b"], ["c", "d/1", "none"], ["d/*"], ["a", "d/*"], ["**"], ["none"]),
    after: fc.option(fc.nat(200)),
    replay: fc.constantFrom(0, 1, 3, 10, Infinity),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.array(question, { maxLength: 4 })), { minLength: 1, maxLength: 20 }),
      fc.constantFrom(1, 5, 20, 1000),
      fc.constantFrom(1, 4, 30),
      async (steps, maxEvents, window) => {
        const path = newPath();
        const open = () => new SqliteLog(path, { maxEvents, window: { maxEvents: window } });
        let log = open();
        const model: Model = { events: [] };
        for (const [change, questions] of steps) {
          if (change === "reopen") {
            log.close();
            log = open();
          } else {
            const ids = appendAtOnce(
              log,
              change.map(({ topic, end }) => newEvent(topic, "", { end })),
            );
            for (const [at, id] of ids.entries()) model.events.push({ ...change[at]!, id });
          }
          for (const { topics, after, replay } of questions) {
            const bounds = log.bounds();
            const seen = after === null || bounds.last === 0 ? null : after % bounds.last;
            const lastEventId =
              seen === null ? "" : (model.events[seen - 1]?.id ?? formatEventId(bounds.epoch, 0));
            const answer = await ask(log, topics, { lastEventId, replay });
            expect(answer).toEqual(expected(model, bounds, topics, seen, replay));
          }
        }
        log.close();
        rmSync(path);
      },
    ),
    { numRuns: 100 },
  );
});
