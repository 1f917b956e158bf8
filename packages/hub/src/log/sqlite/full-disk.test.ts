import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { appendAtOnce } from "../../../test/append-at-once.ts";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rowsOf } from "../../../test/database.ts";
import { connect, control, dataOf, decode } from "../../../test/client.ts";
import { createHub } from "../../hub.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { SelectorSet } from "../../topics/topic.ts";
import type { StoredEvent } from "../stored-event.ts";
import { type Disk, SqliteLog, type SqliteLogOptions } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "sse-disk-"));
afterAll(() => {
  if (canMount) spawnSync("umount", ["-l", small]);
  rmSync(folder, { recursive: true });
});
let files = 0;
const newPath = (): string => join(folder, `${++files}.db`);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** A disk that fills up, and on which writes fail. */
class FaultyDisk implements Disk {
  free = 2 ** 40;
  /** SQLite's code for what happens to writes; null: they succeed. */
  failure: string | null = null;
  /** Writes that succeed before that. */
  left = 0;

  space(): { free: number; size: number } {
    return { free: this.free, size: 2 ** 41 };
  }

  isWritable(): boolean {
    return true;
  }

  beforeWrite(): void {
    if (this.failure !== null && this.left-- <= 0)
      throw Object.assign(new Error("the disk has failed"), { code: this.failure });
  }

  fill(): void {
    this.free = 0;
    this.failure = "SQLITE_FULL";
  }

  makeRoom(): void {
    this.free = 2 ** 40;
    this.failure = null;
  }
}

function setUp(path = newPath(), more: SqliteLogOptions = {}) {
  const clock = new ManualClock();
  const disk = new FaultyDisk();
  const faults: (string | null)[] = [];
  const options: SqliteLogOptions = { clock, disk, onFault: (fault) => void faults.push(fault), ...more };
  const tailed: (number | "reset")[] = [];
  const open = (): SqliteLog => {
    const log = new SqliteLog(path, options);
    log.tail({
      append: (entries: readonly StoredEvent[]) => void tailed.push(...entries.map(({ seq }) => seq)),
      reset: () => void tailed.push("reset"),
      skip: () => expect.unreachable(),
    });
    return log;
  };
  return { path, clock, disk, faults, tailed, open };
}

const FULL = expect.stringContaining("is full; make room on it");

describe("the fault of a full disk", () => {
  test("is not over because of what writes nothing: repeats, reads, nothing at all", async () => {
    const { clock, disk, faults, open } = setUp();
    const log = open();
    const repeat = newEvent("t", "1", { idempotencyKey: "a" });
    const ids = appendAtOnce(log, [repeat]);
    disk.free = 0;
    await clock.advance(1000);
    expect(() => appendAtOnce(log, [newEvent("t", "x".repeat(60_000))])).toThrow("is full");
    expect(appendAtOnce(log, [repeat])).toEqual(ids);
    expect(appendAtOnce(log, [repeat, repeat])).toEqual([ids[0]!, ids[0]!]);
    expect(appendAtOnce(log, [])).toEqual([]);
    await log.read(0, new SelectorSet(["t"]), { bytes: Infinity, upTo: Infinity });
    await clock.advance(5000);
    expect([log.fault, faults]).toEqual([FULL, [FULL]]);
    disk.makeRoom();
    expect(appendAtOnce(log, [repeat])).toEqual(ids);
    expect(log.fault).not.toBeNull();
    await clock.advance(1000);
    expect(faults).toEqual([FULL, null]);
    log.close();
  });

  test("keeps nothing of a batch, and leaves no hole where it was", async () => {
    const { path, clock, disk, faults, tailed, open } = setUp(newPath(), { window: { maxEvents: 1 } });
    let log = open();
    appendAtOnce(log, [newEvent("t", "1"), newEvent("u", "2", { end: true })]);
    for (const failure of ["SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"]) {
      disk.failure = failure;
      const before = log.bounds();
      const batch = [newEvent("u", "3", { idempotencyKey: "p" }), newEvent("new", "4", { key: "k" })];
      expect(() => appendAtOnce(log, batch)).toThrow(expect.objectContaining({ code: "log-failed" }));
      expect(log.bounds()).toEqual(before);
      expect(log.fault).not.toBeNull();
      disk.makeRoom();
      await clock.advance(1000);
      expect(log.fault).toBeNull();
    }
    expect(faults).toHaveLength(6);
    const ids = appendAtOnce(log, [newEvent("u", "3", { idempotencyKey: "p" })]);
    expect(ids[0]).toEndWith("-3");
    expect(tailed).toEqual([1, 2, 3]);
    log.close();
    log = new SqliteLog(path);
    const { entries } = await log.read(0, new SelectorSet(["**"]), { bytes: Infinity, upTo: Infinity });
    expect(entries.map(({ seq, topic }) => [seq, String(topic)])).toEqual([
      [1, "t"],
      [2, "u"],
      [3, "u"],
    ]);
    log.close();
  });

  test.each<[string, (log: SqliteLog) => void]>([
    [
      "throws",
      () => {
        throw new Error("a mistake in a callback");
      },
    ],
    ["publishes", (log) => void appendAtOnce(log, [newEvent("t", "2")])],
  ])("told to a callback that %s: what is kept stays kept, and is answered so", async (_, call) => {
    const { path, disk, tailed, open } = setUp(undefined, {
      onFault: (fault) => fault === null && call(log),
    });
    const printed = spyOn(console, "error").mockImplementation(() => {});
    const log: SqliteLog = open();
    try {
      disk.fill();
      expect(() => appendAtOnce(log, [newEvent("t", "1")])).toThrow("is full");
      disk.makeRoom();
      expect(appendAtOnce(log, [newEvent("t", "1")])[0]).toEndWith("-1");
      expect(appendAtOnce(log, [newEvent("t", "3")])[0]).toEndWith(`-${log.bounds().last}`);
    } finally {
      printed.mockRestore();
    }
    const seqs = numbers(log.bounds().last).map((at) => at + 1);
    expect(tailed).toEqual(seqs);
    log.close();
    const again = new SqliteLog(path);
    const { entries } = await again.read(0, new SelectorSet(["t"]), { bytes: Infinity, upTo: Infinity });
    expect(entries.map(({ seq }) => seq)).toEqual(seqs);
    again.close();
  });
});

/** What a client is told that comes with this id. */
const told = (log: SqliteLog, lastEventId: string) =>
  log.position({ selectors: new SelectorSet(["t"]), lastEventId, replay: 0, counted: true });

const RESUMED = { resume: "resumed", gap: null };

describe("a log that is opened on a full disk", () => {
  /** A file with 100 events, and the id of the last. */
  const withEvents = (path: string): string => {
    const log = new SqliteLog(path);
    const ids = appendAtOnce(
      log,
      numbers(100).map((at) => newEvent("t", `${at + 1}`)),
    );
    log.close();
    return ids.at(-1)!;
  };

  test.each(["SQLITE_FULL", "SQLITE_IOERR_WRITE"])(
    "gives out no id that the file does not learn of: %s",
    async (failure) => {
      const { path, clock, disk, faults, tailed, open } = setUp();
      const last = withEvents(path);
      disk.fill();
      disk.failure = failure;
      const log = open();
      const hub = createHub({ log, clock });
      const client = connect(hub, { lastEventId: last });
      const other = connect(hub, { replay: 1 });
      await clock.advance(5000);
      const ids = [client, other].flatMap(({ sink }) => decode(sink).map(({ lastEventId }) => lastEventId));
      expect(ids.length).toBeGreaterThanOrEqual(3);
      expect(control(client.sink, "sse:ready")).toEqual([{ resume: "resumed", replayed: 0 }]);
      const refused = hub.publish("t", { data: "no" });
      await clock.settle();
      await expect(refused).rejects.toThrow();
      expect(appendAtOnce(log, [])).toEqual([]);
      expect([faults.length, tailed]).toEqual([1, []]);
      await hub.close();
      const again = new SqliteLog(path);
      for (const id of ids) expect(await told(again, id)).toMatchObject(RESUMED);
      const [, next] = appendAtOnce(again, [newEvent("t", "101"), newEvent("t", "102")]);
      for (const id of ids) expect(await told(again, id)).toMatchObject(RESUMED);
      again.close();
      // Twice in a row, and on the epoch of an opening that wrote something.
      const third = open();
      expect(third.bounds().epoch).toBe(next!.split("-")[0]!);
      expect(await told(third, next!)).toMatchObject(RESUMED);
      third.close();
    },
  );

  test.each(["an append", "the next second"])(
    "begins its own epoch when there is room, with %s",
    async (how) => {
      const { path, clock, disk, faults, tailed, open } = setUp();
      const last = withEvents(path);
      disk.fill();
      let log = open();
      const [before] = last.split("-");
      expect(log.bounds()).toMatchObject({ epoch: before!, last: 100 });
      const hub = createHub({ log, clock });
      const client = connect(hub, { lastEventId: last.replace("-100", "-98") });
      await clock.settle();
      disk.makeRoom();
      if (how === "the next second") {
        await clock.advance(1000);
        expect(tailed).toEqual(["reset"]);
      }
      const published = hub.publish("t", { data: "101" });
      await clock.settle();
      const id = await published;
      expect(tailed).toEqual(["reset", 101]);
      expect(faults).toEqual([FULL, null]);
      expect(id).not.toStartWith(before!);
      expect(id).toEndWith("-101");
      expect(dataOf(client.sink)).toEqual(["99", "100", "101"]);
      expect(control(client.sink, "sse:gap")).toEqual([]);
      const ids = decode(client.sink).map(({ lastEventId }) => lastEventId);
      for (const each of ids) expect(await told(log, each)).toMatchObject(RESUMED);
      // What somebody made up, or an opening had given out whose events were lost.
      expect(await told(log, last.replace("-100", "-101"))).toMatchObject({ gap: "epoch", cursor: 100 });
      await hub.close();
      log = new SqliteLog(path);
      for (const each of ids) expect(await told(log, each)).toMatchObject(RESUMED);
      log.close();
    },
  );

  test("writes its epoch once, though that takes several attempts to reach the disk", async () => {
    const { path, clock, disk, faults, open } = setUp();
    withEvents(path);
    disk.failure = "SQLITE_IOERR_WRITE";
    disk.left = 1; // the commit: not writing it through to the disk
    const log = open();
    expect(log.fault).not.toBeNull();
    disk.left = 1;
    await clock.advance(1000);
    expect(faults).toHaveLength(1);
    disk.makeRoom();
    await clock.advance(1000);
    expect(log.fault).toBeNull();
    const { epoch } = log.bounds();
    log.close();
    const epochs = rowsOf(path, "SELECT name, begun FROM epochs ORDER BY number");
    expect(epochs).toEqual([
      [expect.any(String), 0],
      [epoch, 100],
    ]);
  });

  test("is refused when it has no epoch to go on with, and is made when there is room", () => {
    const { path, disk, open } = setUp();
    disk.fill();
    expect(open).toThrow("is full; make room on it");
    disk.left = 1; // the tables
    expect(open).toThrow("is full; make room on it");
    disk.makeRoom();
    const log = open();
    expect(appendAtOnce(log, [newEvent("t", "1")])[0]).toEndWith("-1");
    log.close();
    expect(path).toBeString();
  });
});

/** A file system of its own, where the tests may mount one. */
const small = join(folder, "small");
mkdirSync(small);
const mount = (...args: string[]): boolean =>
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", ...args], { stdio: "ignore" }).status === 0;
const canMount = mount(small);

describe.if(canMount)("a tmpfs", () => {
  const path = join(small, "events.db");

  test("that a log has filled: it goes on by itself when its events grow old", async () => {
    const fill = (log: SqliteLog): string => {
      try {
        for (;;)
          appendAtOnce(
            log,
            numbers(20).map((at) => newEvent(`t/${at}`, "x".repeat(2300))),
          );
      } catch (error) {
        return (error as Error).message;
      }
    };
    for (const round of numbers(3)) {
      const clock = new ManualClock();
      const date = (): number => round * 10_000;
      const log = new SqliteLog(path, { clock, date, maxAge: 5000 });
      await clock.advance(1000);
      expect(log.fault).toBeNull();
      expect(fill(log)).toContain("is full; make room on it");
      expect(log.bounds().events).toBeGreaterThan(1000);
      await clock.advance(1000);
      expect(log.fault).not.toBeNull();
      await clock.advance(6000);
      expect(log.fault).toBeNull();
      log.close();
    }
  });

  test("that something else has filled: a log on it resumes everybody, then and later", async () => {
    for (const part of ["", "-wal"]) rmSync(path + part, { force: true });
    let log = new SqliteLog(path);
    const ids = appendAtOnce(
      log,
      numbers(100).map((at) => newEvent("t", `${at}`)),
    );
    log.close();
    const ballast = join(small, "ballast");
    const { bavail, bsize } = statfsSync(small);
    try {
      writeFileSync(ballast, Buffer.alloc(bavail * bsize));
    } catch {
      // It is full.
    }
    const clock = new ManualClock();
    log = new SqliteLog(path, { clock });
    expect(log.fault).toEqual(FULL);
    expect(await told(log, ids.at(-1)!)).toMatchObject(RESUMED);
    const { epoch, last } = log.bounds();
    expect(() => appendAtOnce(log, [newEvent("t", "no")])).toThrow("is full");
    log.close();
    rmSync(ballast);
    log = new SqliteLog(path, { clock });
    expect(log.fault).toBeNull();
    expect(await told(log, `${epoch}-${last}`)).toMatchObject({ ...RESUMED, cursor: 100, replayed: 0 });
    log.close();
  });
});
