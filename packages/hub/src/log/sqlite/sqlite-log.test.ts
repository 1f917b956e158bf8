import { afterAll, describe, expect, test } from "bun:test";
import { appendAtOnce } from "../../../test/append-at-once.ts";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { change, rowsOf } from "../../../test/database.ts";
import { logContract, type LogUnderTest, newEvent } from "../../testing/log-contract.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { parseEventId } from "../event-id.ts";
import { parseTopic, SelectorSet } from "../../topics/topic.ts";
import { systemDisk } from "./disk.ts";
import { type Disk, SqliteLog, type SqliteLogOptions } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "sse-log-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, `${++files}.db`);

function logIn(window?: SqliteLogOptions["window"]): LogUnderTest {
  const more = window === undefined ? {} : { window };
  let path: string;
  return {
    open: async (options) => new SqliteLog((path = newPath()), { ...options, ...more }),
    reopen: async () => new SqliteLog(path, more),
  };
}

logContract("sqlite", logIn());
logContract("sqlite, read from the file", logIn({ maxEvents: 1 }));
logContract("sqlite, read from the file and from memory", logIn({ maxEvents: 13 }));

function refusal(path: string, options: SqliteLogOptions = {}): string {
  try {
    new SqliteLog(path, options).close();
  } catch (error) {
    expect(error).toMatchObject({ name: "HubError", code: "log-failed" });
    return (error as Error).message;
  }
  return "";
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const limits = { bytes: Infinity, upTo: Infinity };

describe("a file", () => {
  test("is made with its folder, and says that it is new, once", () => {
    const path = join(folder, "a/b/c.db");
    const log = new SqliteLog(path);
    expect(log.begun).toBe(`${path} is new`);
    log.close();
    const again = new SqliteLog(path);
    expect(again.begun).toBeNull();
    again.close();
  });

  test.each<[string, (path: string) => unknown, string]>([
    ["a folder", (path) => mkdirSync(path), "is a folder; name a file in it"],
    ["no database", (path) => writeFileSync(path, "x".repeat(5000)), "is no SQLite database"],
    [
      "a database of something else",
      (path) => change(path, "CREATE TABLE t (a)"),
      "is a database of something else",
    ],
    [
      "of another application",
      (path) => change(path, "PRAGMA application_id = 1"),
      "is a database of something else",
    ],
    [
      "of a newer version",
      (path) => {
        new SqliteLog(path).close();
        change(path, "PRAGMA user_version = 99");
      },
      "was written by a newer version",
    ],
    [
      "damaged",
      (path) => {
        new SqliteLog(path).close();
        writeFileSync(path, readFileSync(path).fill(0, 100));
      },
      "is damaged",
    ],
  ])("that is %s is refused in one line, and left as it is", (_, make, message) => {
    const path = newPath();
    make(path);
    const refused = refusal(path);
    expect(refused).toStartWith(`${path} ${message}`);
    expect(refused).not.toContain("\n");
    if (statSync(path).isFile()) {
      const { size } = statSync(path);
      expect(refusal(path)).toBe(refused);
      expect(statSync(path).size).toBe(size);
    }
  });

  test("in a folder that cannot be made is refused", () => {
    const file = newPath();
    writeFileSync(file, "");
    expect(refusal(join(file, "events.db"))).toContain("cannot be opened or made");
  });

  test("that another has open is refused, and free once that closes", () => {
    const path = newPath();
    const log = new SqliteLog(path);
    appendAtOnce(log, [newEvent("t", "1")]);
    expect(refusal(path)).toContain(`is in use by process ${process.pid}; stop that, or name another file`);
    log.close();
    expect(refusal(path)).toBe("");
  });

  test.each(["file", "folder"])("is refused when its %s is read-only, and says which", (which) => {
    const path = join(mkdtempSync(join(folder, "read-only-")), "events.db");
    new SqliteLog(path).close();
    const name = which === "file" ? path : dirname(path);
    const disk: Disk = { ...systemDisk, isWritable: (asked) => asked !== name };
    expect(refusal(path, { disk })).toStartWith(`${name} is read-only; `);
  });

  test("that failed keeps nothing of the batch, says why, and goes on without a hole", async () => {
    const path = newPath();
    new SqliteLog(path).close();
    change(
      path,
      `CREATE TRIGGER trouble BEFORE INSERT ON events WHEN new.data = 'bad'
        BEGIN SELECT RAISE(ABORT, 'out of order'); END`,
    );
    const log = new SqliteLog(path, { window: { maxEvents: 1 } });
    const tailed: number[] = [];
    log.tail({
      append: (entries) => void tailed.push(...entries.map(({ seq }) => seq)),
      reset: () => {},
      skip: () => {},
    });
    appendAtOnce(log, [newEvent("a", "1")]);
    const before = log.bounds();
    const batch = [newEvent("b", "good", { idempotencyKey: "p", key: "k" }), newEvent("c", "bad")];
    expect(() => appendAtOnce(log, batch)).toThrow("out of order");
    expect(log.fault).toBe(`${path} fails: out of order`);
    expect(log.bounds()).toEqual(before);
    const [id] = appendAtOnce(log, [batch[0]!, newEvent("c", "3")]);
    expect(log.fault).toBeNull();
    expect(id).toEndWith("-2");
    expect(tailed).toEqual([1, 2, 3]);
    const { entries } = await log.read(0, new SelectorSet(["**"]), limits);
    expect(entries.map(({ topic, seq }) => [topic, seq])).toEqual(
      [
        ["a", 1],
        ["b", 2],
        ["c", 3],
      ].map(([topic, seq]) => [parseTopic(topic), seq as number]),
    );
    log.close();
  });

  test("tells no gap to a topic that lost nothing, also after it was opened again", async () => {
    const path = newPath();
    const log = new SqliteLog(path, { maxEvents: 10 });
    appendAtOnce(log, [newEvent("rare", "1"), newEvent("rare", "2")]);
    for (const at of numbers(100)) appendAtOnce(log, [newEvent("busy", `${at}`)]);
    log.close();
    const again = new SqliteLog(path, { maxEvents: 10 });
    const from = async (after: number, topic: string) =>
      (await again.read(after, new SelectorSet([topic]), limits)).from;
    expect(await from(2, "rare")).toBe(2);
    expect(await from(1, "rare")).toBe(2);
    expect(await from(2, "busy")).toBe(92);
    expect(await from(0, "never")).toBe(0);
    again.close();
  });

  test("that is opened with lower bounds evicts what is over them", async () => {
    const path = newPath();
    const log = new SqliteLog(path);
    appendAtOnce(
      log,
      numbers(2000).map((at) => newEvent("t", `${at}`)),
    );
    log.close();
    const clock = new ManualClock();
    const again = new SqliteLog(path, { maxEvents: 100, clock });
    await clock.settle();
    expect(again.bounds()).toMatchObject({ first: 1901, events: 100 });
    again.close();
  });

  test("does not grow when as much is evicted as comes in", () => {
    const path = newPath();
    const log = new SqliteLog(path, { maxEvents: 2000 });
    const batch = numbers(200).map((at) => newEvent(`t/${at % 10}`, "x".repeat(200), { key: `${at}` }));
    const sizes: number[] = [];
    for (const round of numbers(100)) {
      appendAtOnce(log, batch);
      if (round % 50 === 49) sizes.push(statSync(path).size + statSync(`${path}-wal`).size);
    }
    expect(sizes[1]).toBeLessThan(sizes[0]! * 1.1);
    expect(log.bounds().events).toBe(2000);
    log.close();
  });

  test("stays below the bytes of its bounds, though its events leave pages half empty", async () => {
    const path = newPath();
    const clock = new ManualClock();
    const maxBytes = 4 * 1024 * 1024;
    const log = new SqliteLog(path, { maxBytes, clock });
    for (const _ of numbers(100))
      appendAtOnce(
        log,
        numbers(100).map((at) => newEvent(`t/${at}`, "x".repeat(2300))),
      );
    await clock.settle();
    expect(log.bounds().events).toBeGreaterThan(600);
    log.close();
    expect(statSync(path).size).toBeLessThan(maxBytes * 1.25);
  });

  test("evicts what is too old in slices, and goes on by itself until it is done", async () => {
    const path = newPath();
    const clock = new ManualClock();
    const log = new SqliteLog(path, { clock, maxAge: 1000, window: { maxEvents: 10 } });
    appendAtOnce(
      log,
      numbers(3000).map((at) => newEvent(`t/${at}`, "x")),
    );
    await clock.advance(999);
    expect(log.bounds().events).toBe(3000);
    await clock.advance(1001);
    expect(log.bounds()).toMatchObject({ first: 3001, last: 3000, events: 0, bytes: 0 });
    log.close();
    expect(rowsOf(path, "SELECT count(*) FROM newest")).toEqual([[0]]);
    const again = new SqliteLog(path);
    expect(appendAtOnce(again, [newEvent("t", "x")])[0]).toEndWith("-3001");
    again.close();
  });

  test("remembers a bounded number of topics that have no event left, and is on the safe side about the rest", () => {
    const path = newPath();
    const log = new SqliteLog(path, { maxEvents: 10, window: { maxEvents: 1 } });
    for (const round of numbers(20))
      appendAtOnce(
        log,
        numbers(1000).map((at) => newEvent(`t/${round}/${at}`, "x")),
      );
    log.close();
    expect(rowsOf(path, "SELECT count(*) FROM topics")[0]![0]).toBeLessThan(18_000);
  });

  test.each([
    ["which is in memory too", 1_000_000],
    ["for which memory has no room", 1],
  ])("of a clock that was set back does not revive what is old, by the newest event, %s", (_, maxBytes) => {
    const path = newPath();
    let date = 1_000_000;
    const options = { date: () => date, maxAge: 500, window: { maxBytes } };
    const open = () => new SqliteLog(path, { ...options, clock: new ManualClock() });
    const log = open();
    appendAtOnce(log, [newEvent("t", "1")]);
    log.close();
    date = 10;
    const again = open();
    appendAtOnce(again, [newEvent("t", "2")]);
    again.close();
    const times = rowsOf(path, "SELECT time FROM events");
    expect(times).toEqual([[1_000_000], [1_000_000]]);
  });
});

describe("an event that the bounds do not let stay", () => {
  const publish = (log: SqliteLog, data: string, idempotencyKey = "daily"): string =>
    appendAtOnce(log, [newEvent("t", data, { idempotencyKey })])[0]!;

  test.each([1, 10_000])(
    "and is there only because evicting takes a while does not answer a repeat (%p in memory)",
    async (maxEvents) => {
      const path = newPath();
      let date = 1000;
      const open = (more: SqliteLogOptions = {}) =>
        new SqliteLog(path, {
          clock: new ManualClock(),
          date: () => date,
          maxAge: 5000,
          window: { maxEvents },
          ...more,
        });
      let log = open();
      appendAtOnce(
        log,
        numbers(3000).map((at) => newEvent("t", `${at}`)),
      );
      const monday = publish(log, "monday");
      log.close();
      date += 5000;
      log = open();
      expect(publish(log, "monday")).toBe(monday); // at this age it stays
      log.close();
      date += 5000;
      log = open();
      expect(log.bounds().events).toBeGreaterThan(2000);
      const tuesday = publish(log, "tuesday");
      expect(tuesday).toEndWith("-3002");
      expect(publish(log, "tuesday")).toBe(tuesday);
      appendAtOnce(
        log,
        numbers(3000).map((at) => newEvent("t", `${at}`)),
      );
      const wednesday = publish(log, "wednesday", "weekly");
      appendAtOnce(
        log,
        numbers(1000).map((at) => newEvent("t", `${at}`)),
      );
      log.close();
      log = open({ maxEvents: 100 });
      expect(log.bounds().first).toBeLessThan(parseEventId(wednesday)!.cursor);
      expect(publish(log, "wednesday", "weekly")).toEndWith(`-${log.bounds().last}`);
      log.close();
    },
  );

  test("does not answer a repeat either when nobody has looked for a while", () => {
    let late = 0;
    class LateClock extends ManualClock {
      override now(): number {
        return late;
      }
    }
    const log = new SqliteLog(newPath(), { clock: new LateClock(), maxAge: 5000 });
    const monday = publish(log, "monday");
    late = 5000;
    expect(publish(log, "monday")).toBe(monday);
    late = 5001;
    expect(publish(log, "tuesday")).not.toBe(monday);
    log.close();
  });
});

/** What a client is told that comes with this id. */
async function told(
  log: SqliteLog,
  id: string,
): Promise<{ cursor: number; resume: string; reason?: string }> {
  const request = { selectors: new SelectorSet(["**"]), lastEventId: id, replay: 0, counted: false };
  const { cursor, resume, gap } = await log.position(request);
  return gap === null ? { cursor, resume } : { cursor, resume, reason: gap };
}

/** The file as it is, with all that was committed, under another name. */
function copy(from: string, to: string): void {
  for (const part of ["", "-wal"]) if (existsSync(from + part)) copyFileSync(from + part, to + part);
}

describe("an id", () => {
  const publish = (log: SqliteLog, count: number): readonly string[] =>
    appendAtOnce(
      log,
      numbers(count).map((at) => newEvent("t", `${at}`)),
    );

  test("is good after any number of openings, also for an event that is read again", async () => {
    const path = newPath();
    const ids: string[] = [];
    for (const round of numbers(5)) {
      const log = new SqliteLog(path, { window: { maxEvents: 1 } });
      for (const [at, id] of ids.entries())
        expect(await told(log, id)).toEqual({ cursor: at + 1, resume: "resumed" });
      if (round % 2 === 0) ids.push(...publish(log, 3)); // every other one leaves nothing behind
      const { entries } = await log.read(0, new SelectorSet(["**"]), limits);
      expect(entries.map(({ wire }) => /^id: (.*)$/m.exec(wire)![1]!)).toEqual(ids);
      log.close();
    }
    expect(new Set(ids.map((id) => parseEventId(id)!.epoch)).size).toBe(3);
  });

  test("of what an older copy of the file does not have is never mistaken for what came since", async () => {
    const [path, backup] = [newPath(), newPath()];
    const log = new SqliteLog(path);
    const kept = publish(log, 5);
    copy(path, backup);
    const lost = publish(log, 5);
    log.close();
    const later = new SqliteLog(path);
    const unheardOf = publish(later, 5);
    later.close();
    rmSync(path);
    copy(backup, path);
    const restored = new SqliteLog(path);
    const fresh = publish(restored, 50);
    expect(fresh.slice(0, 5).map((id) => parseEventId(id)!.cursor)).toEqual([6, 7, 8, 9, 10]);
    expect(await told(restored, kept[4]!)).toEqual({ cursor: 5, resume: "resumed" });
    // It had all up to 5, and 6 to 10 are others now.
    for (const id of lost)
      expect(await told(restored, id)).toEqual({ cursor: 5, resume: "reset", reason: "epoch" });
    for (const id of unheardOf)
      expect(await told(restored, id)).toEqual({ cursor: 0, resume: "reset", reason: "epoch" });
    for (const [at, id] of fresh.entries())
      expect(await told(restored, id)).toEqual({ cursor: at + 6, resume: "resumed" });
    restored.close();
  });

  test.each(["normal", "full", "off"] as const)(
    "of an event that was lost with the end of the `-wal` tells where the loss begins, with durability %s",
    async (durability) => {
      const [path, without] = [newPath(), newPath()];
      const log = new SqliteLog(path, { durability });
      const ids = publish(log, 10);
      copyFileSync(path, without);
      log.close();
      const again = new SqliteLog(without, { durability });
      publish(again, 20);
      for (const id of ids)
        expect(await told(again, id)).toEqual({ cursor: 0, resume: "reset", reason: "epoch" });
      again.close();
    },
  );

  test("is given by no more openings than are remembered", () => {
    const path = newPath();
    new SqliteLog(path).close();
    change(
      path,
      `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO epochs SELECT i, 'e' || i, 0 FROM n`,
    );
    new SqliteLog(path).close();
    expect(rowsOf(path, "SELECT count(*), max(number) FROM epochs")).toEqual([[10_000, 20_001]]);
  });
});

describe("a file that is open", () => {
  test.each<[string, (path: string) => void]>([
    ["deleted", (path) => renameSync(path, `${path}.away`)],
    [
      "replaced",
      (path) => {
        renameSync(path, `${path}.away`);
        writeFileSync(path, "");
      },
    ],
  ])("and %s takes no events until it is back, and says so", async (_, take) => {
    const path = newPath();
    const clock = new ManualClock();
    const faults: (string | null)[] = [];
    const log = new SqliteLog(path, { clock, onFault: (fault) => faults.push(fault) });
    appendAtOnce(log, [newEvent("t", "1")]);
    take(path);
    await clock.advance(1000);
    expect(log.fault).toContain(`${path} was deleted or replaced while it was open`);
    expect(() => appendAtOnce(log, [newEvent("t", "2")])).toThrow("was deleted or replaced");
    await clock.advance(1000);
    const { entries } = await log.read(0, new SelectorSet(["t"]), limits);
    expect(entries.length).toBe(1); // readers go on
    renameSync(`${path}.away`, path);
    await clock.advance(1000);
    expect(faults).toEqual([expect.stringContaining("was deleted"), null]);
    expect(appendAtOnce(log, [newEvent("t", "2")])[0]).toEndWith("-2");
    log.close();
  });

  test("makes its `-wal` anew when that is deleted, with all that it held", async () => {
    const [path, killed] = [newPath(), newPath()];
    const clock = new ManualClock();
    const log = new SqliteLog(path, { clock });
    appendAtOnce(log, [newEvent("t", "1")]);
    rmSync(`${path}-wal`);
    appendAtOnce(log, [newEvent("t", "2")]);
    await clock.advance(1000);
    expect(log.fault).toBeNull();
    appendAtOnce(log, [newEvent("t", "3")]);
    copy(path, killed);
    log.close();
    const again = new SqliteLog(killed);
    expect(again.bounds()).toMatchObject({ first: 1, last: 3, events: 3 });
    again.close();
  });
});

describe("a large file", () => {
  const path = newPath();
  const COUNT = 20_000;
  /** Every 10th event is of `busy`, one of `rare`, the others of 3,000 topics. */
  const topicOf = (at: number): string =>
    at === 7 ? "rare/x" : at % 10 === 0 ? "busy" : `many/${at % 3000}`;
  const open = async () => {
    const log = new SqliteLog(path, { window: { maxEvents: 100 } });
    if (log.bounds().last === 0) {
      for (let at = 0; at < COUNT; at += 1000)
        appendAtOnce(
          log,
          numbers(1000).map((i) => newEvent(topicOf(at + i), `${at + i}`)),
        );
    }
    return log;
  };

  test.each([[["busy"]], [["busy", "rare/x"]], [["rare/*"]], [["many/*"]], [["many/*", "busy"]], [["**"]]])(
    "%j is read, counted and rewound as it should be, in answers that come one by one",
    async (selectors) => {
      const log = await open();
      const set = new SelectorSet(selectors);
      const expected = numbers(COUNT).filter((at) => set.matches(parseTopic(topicOf(at))));
      const seen: number[] = [];
      for (let cursor = 0; cursor < COUNT;) {
        const page = await log.read(cursor, set, { bytes: 50_000, upTo: COUNT });
        expect(page.from).toBe(cursor);
        seen.push(...page.entries.map(({ seq }) => seq - 1));
        cursor = page.cursor;
      }
      expect(seen).toEqual(expected);
      for (const count of [1, 600, 1500, expected.length, Infinity]) {
        const request = { selectors: set, lastEventId: "", replay: count, counted: true };
        expect(await log.position(request)).toMatchObject({
          cursor: count > expected.length ? 0 : expected.at(-count)!,
          replayed: Math.min(count, expected.length),
          upTo: COUNT,
        });
      }
      log.close();
    },
  );

  test("gives a rare topic at once, wherever it is", async () => {
    const log = await open();
    const { entries, cursor } = await log.read(0, new SelectorSet(["rare/x"]), { bytes: 1000, upTo: COUNT });
    expect({ cursor, seqs: entries.map(({ seq }) => seq) }).toEqual({ cursor: COUNT, seqs: [8] });
    log.close();
  });

  test("refuses, once closed, what it was asked before", async () => {
    const log = await open();
    const page = log.read(0, new SelectorSet(["busy"]), limits);
    log.close();
    await expect(page).rejects.toThrow("closed");
  });
});
