import { Database, SQLiteError, type Statement } from "bun:sqlite";
import { accessSync, constants, mkdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { HubError } from "../../errors.ts";

/**
 * What an acknowledged event survives:
 * - `full`: everything that the disk survives, loss of power included. Every commit waits for the disk.
 * - `normal`: the end of the process, however it comes. When the whole machine stops without warning, the last commits
 *   may be lost, never the order or the file: clients that have seen them are told so.
 * - `off`: the end of the process. When the whole machine stops, the file may be damaged.
 */
export type Durability = "full" | "normal" | "off";

const APPLICATION_ID = 0x53_53_45_31; // "SSE1"
const SCHEMA_VERSION = 2;
/** How long to wait for another process that is just ending, in milliseconds. */
const LOCK_WAIT = 1000;
/** What is left free on the disk, in bytes, of a small disk a quarter: evicting writes before it frees anything. */
const RESERVE = 8 * 1024 * 1024;
const PAGE = 4096;

/** One for each opening that wrote something; begun: the last event before it. */
const EPOCHS =
  "CREATE TABLE epochs (number INTEGER PRIMARY KEY, name TEXT NOT NULL, begun INTEGER NOT NULL);";

const SCHEMA = `
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
  CREATE TABLE log (last INTEGER NOT NULL, bytes INTEGER NOT NULL, forgotten INTEGER NOT NULL); -- one row
  INSERT INTO log VALUES (0, 0, 0);
  ${EPOCHS}
  -- evicted: the last event that is no longer here; empty: 1 when no event is here.
  CREATE TABLE topics (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, evicted INTEGER NOT NULL, empty INTEGER NOT NULL);
  CREATE INDEX empty_topics ON topics (evicted) WHERE empty;
  CREATE TABLE events (seq INTEGER PRIMARY KEY, topic INTEGER NOT NULL, time INTEGER NOT NULL, size INTEGER NOT NULL,
    "end" INTEGER NOT NULL, key TEXT NOT NULL, publish_id TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL);
  CREATE INDEX events_by_topic ON events (topic); -- and by seq, which every index ends with
  CREATE INDEX events_by_publish_id ON events (topic, publish_id) WHERE publish_id <> '';
  -- The newest event of each topic and key.
  CREATE TABLE newest (topic INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (topic, key)) WITHOUT ROWID;
`;

/** By the version that a file has: what makes it one of the next version. */
const UPGRADES: Readonly<Record<number, string>> = {
  1: `
    ${EPOCHS}
    INSERT INTO epochs SELECT 1, epoch, 0 FROM log;
    ALTER TABLE log DROP COLUMN epoch;
    ALTER TABLE log DROP COLUMN boot;
    PRAGMA user_version = 2;
  `,
};

/** A file that is open for this process alone. */
export class SqliteFile {
  /** True when nothing of this log was there before. */
  readonly isNew: boolean;
  readonly #path: string;
  readonly #database: Database;
  readonly #statements: Statement[] = [];
  /** Which file was opened; its name may come to stand for another. */
  readonly #identity: string;

  /**
   * Opens the file, and makes what is missing of it. On a full disk it opens what is there.
   *
   * @param path absolute
   * @throws HubError `log-failed` in one line that says what to do
   */
  constructor(path: string, durability: Durability) {
    this.#path = path;
    let database: Database | null = null;
    try {
      mkdirSync(dirname(path), { recursive: true });
      checkAccess(path);
      this.#database = database = new Database(path, { create: true, readwrite: true, strict: true });
      this.isNew = this.#recognise();
      this.#identity = identity(path)!;
      this.ask("PRAGMA journal_mode = WAL");
      this.ask("PRAGMA journal_size_limit = 16777216"); // what one huge transaction took is given back
      // All of the -wal may become a part of the file, for which the reserve has to do.
      this.ask(
        `PRAGMA wal_autocheckpoint = ${Math.min(1000, Math.max(16, Math.floor(this.#disk().reserve / 2 / PAGE)))}`,
      );
      // Thousands of topics in turn are as many pages of the index: reading them anew took a fifth of evicting.
      this.ask("PRAGMA cache_size = -32768"); // KiB
      this.ask(`PRAGMA synchronous = ${durability}`);
      database.transaction(() => this.#upgrade())();
    } catch (error) {
      if (database !== null) this.#release();
      if (error instanceof HubError) throw error;
      throw new HubError("log-failed", reason(error, path), { cause: error });
    }
  }

  /** True for a file without anything in it. @throws HubError for one that is not ours */
  #recognise(): boolean {
    this.ask(`PRAGMA busy_timeout = ${LOCK_WAIT}`);
    this.ask("PRAGMA locking_mode = EXCLUSIVE");
    const id = this.ask("PRAGMA application_id");
    if (id === 0 && this.ask("SELECT count(*) FROM sqlite_schema") === 0) return true;
    if (id !== APPLICATION_ID) {
      throw new HubError("log-failed", `${this.#path} is a database of something else; name another file`);
    }
    if ((this.ask("PRAGMA user_version") as number) > SCHEMA_VERSION) {
      throw new HubError(
        "log-failed",
        `${this.#path} was written by a newer version; use that, or name another file`,
      );
    }
    return false;
  }

  #upgrade(): void {
    if (this.isNew) this.#database.run(SCHEMA);
    for (;;) {
      const upgrade = UPGRADES[this.ask("PRAGMA user_version") as number];
      if (upgrade === undefined) return;
      this.#database.run(upgrade);
    }
  }

  #disk(): { free: number; reserve: number } {
    const { bavail, blocks, bsize } = statfsSync(dirname(this.#path));
    return { free: bavail * bsize, reserve: Math.min(RESERVE, (blocks * bsize) / 4) };
  }

  /** How many bytes the disk and the empty pages of the file can take, besides what is to be left free. */
  get room(): number {
    const { free, reserve } = this.#disk();
    return free - reserve + (this.ask("PRAGMA freelist_count") as number) * PAGE;
  }

  /** Writes everything to the file itself, through to the disk unless the durability is `off`, and empties the `-wal`. */
  checkpoint(): void {
    this.ask("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /**
   * Looks whether what is written will be found again under the file's name. A `-wal` that was taken away is made anew,
   * with all that it held.
   *
   * @throws HubError `log-failed` when the file was taken away
   */
  checkPlace(): void {
    if (identity(this.#path) !== this.#identity) {
      throw new HubError(
        "log-failed",
        `${this.#path} was deleted or replaced while it was open: restart the server to go on with what is there now, ` +
          "or put the file back where it was",
      );
    }
    if (identity(`${this.#path}-wal`) !== null) return;
    for (const mode of ["delete", "wal"]) {
      if (this.ask(`PRAGMA journal_mode = ${mode}`) === mode) continue;
      throw new HubError(
        "log-failed",
        `${this.#path}-wal was deleted and cannot be made anew; make room on the disk`,
      );
    }
  }

  /** A statement that lives as long as the file is open. */
  prepare(sql: string): Statement {
    const statement = this.#database.prepare(sql);
    this.#statements.push(statement);
    return statement;
  }

  /** The first value of the first row. */
  ask(sql: string): unknown {
    const statement = this.#database.prepare(sql);
    try {
      return (statement.values() as unknown[][])[0]?.[0];
    } finally {
      statement.finalize();
    }
  }

  close(): void {
    try {
      this.checkpoint();
    } catch {
      // The disk is full: whoever opens the file next finds the rest in the -wal.
    }
    this.#release();
  }

  /** SQLite keeps a file locked as long as there is a statement for it. */
  #release(): void {
    for (const statement of this.#statements) statement.finalize();
    this.#database.close();
  }
}

/** @throws HubError when the file, or the folder in which SQLite makes its `-wal`, is not to be written */
function checkAccess(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true) {
    throw new HubError("log-failed", `${path} is a folder; name a file in it`);
  }
  for (const name of stat === undefined ? [dirname(path)] : [path, dirname(path)]) {
    try {
      accessSync(name, constants.W_OK);
    } catch {
      throw new HubError(
        "log-failed",
        `${name} is read-only; ${name === path ? "" : `${path} is to be in it: `}let this user write it, or name another file`,
      );
    }
  }
}

/** What tells a file from another one of its name; null when there is none. */
function identity(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}

function hex(number: number): string {
  return number.toString(16).padStart(2, "0");
}

/** The process that has locked the file, in words; "another process" where the system does not tell. */
function holder(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    const file = `${hex((dev >>> 8) & 0xfff)}:${hex((dev & 0xff) | ((dev >>> 12) & 0xfff00))}:${ino}`;
    const lock = readFileSync("/proc/locks", "utf8")
      .split("\n")
      .map((line) => line.split(/ +/))
      .find((fields) => fields.includes("WRITE") && fields.includes(file));
    const pid = Number(lock?.[lock.indexOf(file) - 1]);
    return pid > 0 ? `process ${pid}` : "another process";
  } catch {
    return "another process";
  }
}

/** Why the file cannot be read or written, and what to do. */
export function reason(error: unknown, path: string): string {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  if (code === "SQLITE_FULL" || code === "ENOSPC") return `the disk of ${path} is full; make room on it`;
  if (code.startsWith("SQLITE_BUSY"))
    return `${path} is in use by ${holder(path)}; stop that, or name another file`;
  if (code === "SQLITE_NOTADB") return `${path} is no SQLite database; name another file`;
  if (code.startsWith("SQLITE_CORRUPT"))
    return `${path} is damaged (${message}); restore it, or move it away to begin anew`;
  if (code.startsWith("SQLITE_READONLY") || code === "SQLITE_PERM" || code === "EACCES" || code === "EROFS")
    return `${path} cannot be written; let this user write it and its folder, or name another file`;
  if (code.startsWith("SQLITE_CANTOPEN") || code === "ENOTDIR" || code === "EEXIST")
    return `${path} cannot be opened or made; look at its folder and its permissions`;
  return `${path} fails: ${message}`;
}

/** True when the same may work later. */
export function isPassing(error: unknown): boolean {
  return error instanceof SQLiteError && /^SQLITE_(IOERR|NOMEM|BUSY|FULL|INTERRUPT)/.test(error.code ?? "");
}
