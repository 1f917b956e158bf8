import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync, truncateSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { Disk } from "../src/log/sqlite/disk.ts";
import type { Random } from "./random.ts";

/** A disk in memory where there is one: what is simulated is what a disk loses, not how long it takes. */
const SHARED_MEMORY = "/dev/shm";
const SUFFIXES = ["", "-wal"];
/** From here on SQLite copies the -wal into the file by itself; then what is torn off may be in the file already. */
const MOST_TORN = 3_000_000;

/** The files of one log, on a disk that fills up, fails, and loses what a loss of power does. */
export class SimulatedDisk implements Disk {
  readonly #folder = mkdtempSync(
    join(existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir(), "sse-simulator-"),
  );
  #files = 0;
  /** The log's file, by the name that it has now. */
  path = join(this.#folder, "log-0.db");
  /** Every write fails so. */
  failure: "SQLITE_FULL" | "SQLITE_IOERR_WRITE" | null = null;
  /** Reads fail. */
  isUnreadable = false;
  /** Nothing is free, by what the system says. */
  isFull = false;

  space(): { free: number; size: number } {
    return { free: this.isFull ? 0 : 1e12, size: 2e12 };
  }

  isWritable(): boolean {
    return true;
  }

  beforeWrite(): void {
    if (this.failure !== null) throw sqliteError(this.failure);
  }

  /** The files as they are now, under another name. @returns the name */
  copy(): string {
    const copy = join(this.#folder, `log-${++this.#files}.db`);
    for (const suffix of SUFFIXES)
      if (existsSync(this.path + suffix)) copyFileSync(this.path + suffix, copy + suffix);
    return copy;
  }

  /** The end of the `-wal` never got to the disk. @returns whether something is missing */
  tear(path: string, random: Random): boolean {
    const size = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    if (size === 0 || size > MOST_TORN) return false;
    truncateSync(`${path}-wal`, random.below(size));
    return true;
  }

  /** Somebody deletes the `-wal` of the log that is open. */
  deleteWal(): void {
    if (existsSync(`${this.path}-wal`)) unlinkSync(`${this.path}-wal`);
  }

  exists(): boolean {
    return existsSync(this.path);
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What stands in a log's file, read without the log; null: nothing does. */
export interface FileContent {
  readonly last: number;
  /** The newest epoch, if there is any. */
  readonly epochs: readonly string[];
  readonly rows: readonly {
    readonly seq: number;
    readonly topic: string;
    readonly data: string;
    readonly time: number;
  }[];
}

/** Reads a copy of the file: to open the file itself would change it. */
export function readFile(path: string): FileContent | null {
  if (!existsSync(path)) return null;
  const database = new DatabaseSync(path);
  try {
    const values = (sql: string): unknown[][] => {
      const statement = database.prepare(sql);
      statement.setReturnArrays(true);
      return statement.all() as unknown as unknown[][];
    };
    if (values("SELECT count(*) FROM sqlite_schema WHERE name = 'log'")[0]![0] === 0) return null;
    return {
      last: values("SELECT last FROM log")[0]![0] as number,
      epochs: values("SELECT name FROM epochs ORDER BY number").map(([name]) => name as string),
      rows: values(
        "SELECT seq, name, data, time FROM events JOIN topics ON topics.id = events.topic ORDER BY seq",
      ).map(([seq, topic, data, time]) => ({ seq, topic, data, time }) as FileContent["rows"][number]),
    };
  } finally {
    database.close();
  }
}

function sqliteError(code: string): Error {
  return Object.assign(new Error(`simulated: ${code}`), { name: "SQLiteError", code });
}

const unreadable = new Map<string, SimulatedDisk>();
let isPatched = false;

/** Lets questions to this disk's files fail, which SQLite offers no way to ask for. */
export function failReads(disk: SimulatedDisk, path: string): void {
  unreadable.set(path, disk);
  if (isPatched) return;
  isPatched = true;
  // oxlint-disable-next-line typescript/unbound-method -- called with the database that it is asked of
  const { prepare } = DatabaseSync.prototype;
  DatabaseSync.prototype.prepare = function (...given: Parameters<typeof prepare>) {
    const statement = prepare.apply(this, given);
    const on = unreadable.get(this.location()!);
    if (on === undefined || !/^\s*SELECT/.test(given[0])) return statement;
    const ask: (...parameters: SQLInputValue[]) => ReturnType<typeof statement.all> =
      statement.all.bind(statement);
    statement.all = (...parameters: unknown[]) => {
      if (on.isUnreadable) throw sqliteError("SQLITE_IOERR_READ");
      return ask(...(parameters as SQLInputValue[]));
    };
    return statement;
  };
}

export function forgetReads(path: string): void {
  unreadable.delete(path);
}
