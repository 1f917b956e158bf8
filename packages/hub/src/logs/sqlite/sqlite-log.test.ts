import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { logContract, type LogUnderTest, newEvent } from "../../../test/log-contract.ts";
import { ManualClock } from "../../../test/manual-clock.ts";
import { parseTopic, SelectorSet } from "../../topic.ts";
import { SqliteLog, type SqliteLogOptions } from "./index.ts";

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

/** As somebody else would see or change the file; the log must be closed. */
function withFile<T>(path: string, use: (database: Database) => T): T {
  using database = new Database(path);
  return use(database);
}

function refusal(path: string): string {
  try {
    new SqliteLog(path).close();
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
      (path) => withFile(path, (database) => database.run("CREATE TABLE t (a)")),
      "is a database of something else",
    ],
    [
      "of another application",
      (path) => withFile(path, (database) => database.run("PRAGMA application_id = 1")),
      "is a database of something else",
    ],
    [
      "of a newer version",
      (path) => {
        new SqliteLog(path).close();
        withFile(path, (database) => database.run("PRAGMA user_version = 99"));
      },
      "was written by a newer version",
    ],
    [
      "damaged",
      (path) => {
        new SqliteLog(path).close();
        const bytes = new Uint8Array(statSync(path).size);
        bytes.set(new Uint8Array(withFile(path, (database) => database.serialize())).subarray(0, 100));
        writeFileSync(path, bytes);
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
    log.append([newEvent("t", "1")]);
    expect(refusal(path)).toContain("is in use by another process; stop that, or name another file");
    log.close();
    expect(refusal(path)).toBe("");
  });

  test("whose machine stopped while it was open begins a new life, unless every commit was safe", () => {
    for (const durability of ["normal", "full", "off"] as const) {
      const [path, copy] = [newPath(), newPath()];
      const log = new SqliteLog(path, { durability });
      const [id] = log.append([newEvent("t", "1", { publishId: "p" })]);
      for (const part of ["", "-wal"]) copyFileSync(path + part, copy + part);
      log.close();
      // The same run of the machine, as after a kill.
      const killed = new SqliteLog(copy, { durability });
      expect({ begun: killed.begun, ids: killed.append([newEvent("t", "1", { publishId: "p" })]) }).toEqual({
        begun: null,
        ids: [id!],
      });
      for (const part of ["", "-wal"]) copyFileSync(copy + part, path + part);
      killed.close();
      withFile(path, (database) => database.run("UPDATE log SET boot = 'another' WHERE boot <> ''"));
      const restarted = new SqliteLog(path, { durability });
      expect(restarted.begun).toEqual(durability === "full" ? null : expect.stringContaining("may be lost"));
      expect(restarted.bounds().epoch === killed.bounds().epoch).toBe(durability === "full");
      expect(restarted.bounds().last).toBe(1);
      restarted.close();
    }
  });

  test("that failed keeps nothing of the batch, says why, and goes on without a hole", async () => {
    const path = newPath();
    new SqliteLog(path).close();
    withFile(path, (database) =>
      database.run(`CREATE TRIGGER trouble BEFORE INSERT ON events WHEN new.data = 'bad'
        BEGIN SELECT RAISE(ABORT, 'out of order'); END`),
    );
    const log = new SqliteLog(path, { window: { maxEvents: 1 } });
    const tailed: number[] = [];
    log.tail({
      append: (entries) => void tailed.push(...entries.map(({ seq }) => seq)),
      reset: () => {},
      skip: () => {},
    });
    log.append([newEvent("a", "1")]);
    const before = log.bounds();
    const batch = [newEvent("b", "good", { publishId: "p", key: "k" }), newEvent("c", "bad")];
    expect(() => log.append(batch)).toThrow("out of order");
    expect(log.fault).toBe(`${path} fails: out of order`);
    expect(log.bounds()).toEqual(before);
    const [id] = log.append([batch[0]!, newEvent("c", "3")]);
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
    log.append([newEvent("rare", "1"), newEvent("rare", "2")]);
    for (const at of numbers(100)) log.append([newEvent("busy", `${at}`)]);
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
    log.append(numbers(2000).map((at) => newEvent("t", `${at}`)));
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
      log.append(batch);
      if (round % 50 === 49) sizes.push(statSync(path).size + statSync(`${path}-wal`).size);
    }
    expect(sizes[1]).toBeLessThan(sizes[0]! * 1.1);
    expect(log.bounds().events).toBe(2000);
    log.close();
  });

  test("evicts what is too old in slices, and goes on by itself until it is done", async () => {
    const path = newPath();
    const clock = new ManualClock();
    const log = new SqliteLog(path, { clock, maxAge: 1000, window: { maxEvents: 10 } });
    log.append(numbers(3000).map((at) => newEvent(`t/${at}`, "x")));
    await clock.advance(999);
    expect(log.bounds().events).toBe(3000);
    await clock.advance(1001);
    expect(log.bounds()).toMatchObject({ first: 3001, last: 3000, events: 0, bytes: 0 });
    log.close();
    expect(withFile(path, (database) => database.query("SELECT count(*) AS n FROM newest").get())).toEqual({
      n: 0,
    });
    const again = new SqliteLog(path);
    expect(again.append([newEvent("t", "x")])[0]).toEndWith("-3001");
    again.close();
  });

  test("remembers a bounded number of topics that have no event left, and is on the safe side about the rest", () => {
    const path = newPath();
    const log = new SqliteLog(path, { maxEvents: 10, window: { maxEvents: 1 } });
    for (const round of numbers(20)) log.append(numbers(1000).map((at) => newEvent(`t/${round}/${at}`, "x")));
    log.close();
    const { topics } = withFile(path, (file) =>
      file.query("SELECT count(*) AS topics FROM topics").get(),
    ) as {
      topics: number;
    };
    expect(topics).toBeLessThan(18_000);
  });

  test("of a clock that was set back does not revive what is old", () => {
    const path = newPath();
    let date = 1_000_000;
    const open = () => new SqliteLog(path, { date: () => date, clock: new ManualClock(), maxAge: 500 });
    const log = open();
    log.append([newEvent("t", "1")]);
    log.close();
    date = 10;
    const again = open();
    again.append([newEvent("t", "2")]);
    again.close();
    const times = withFile(path, (file) => file.query("SELECT time FROM events").values()) as number[][];
    expect(times).toEqual([[1_000_000], [1_000_000]]);
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
        log.append(numbers(1000).map((i) => newEvent(topicOf(at + i), `${at + i}`)));
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
      expect(await log.survey(0, set)).toEqual({ from: 0, events: expected.length });
      for (const count of [1, 600, 1500, expected.length]) {
        expect(await log.rewind(count, set)).toBe(count > expected.length ? 0 : expected.at(-count)!);
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
    expect(page).rejects.toThrow("closed");
  });
});
