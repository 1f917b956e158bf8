import { Database, SQLiteError, type Statement } from "bun:sqlite";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { createEpoch } from "../../cursor.ts";
import { HubError } from "../../errors.ts";

/**
 * What an acknowledged event survives:
 * - `full`: everything that the disk survives, loss of power included. Every commit waits for the disk.
 * - `normal`: the end of the process, however it comes. When the whole machine stops without warning, the last commits
 *   may be lost, never the order or the file: the log begins a new life then, and clients are told so.
 * - `off`: the end of the process. When the whole machine stops, the file may be damaged.
 */
export type Durability = "full" | "normal" | "off";

const APPLICATION_ID = 0x53_53_45_31; // "SSE1"
const SCHEMA_VERSION = 1;
/** How long to wait for another process that is just ending, in milliseconds. */
const LOCK_WAIT = 1000;

const SCHEMA = `
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
  -- One row. boot: the machine's boot in which the file was opened and not closed yet, unless every commit is safe.
  CREATE TABLE log (epoch TEXT NOT NULL, last INTEGER NOT NULL, bytes INTEGER NOT NULL, forgotten INTEGER NOT NULL, boot TEXT NOT NULL);
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

/** A file that is open for this process alone. */
export class SqliteFile {
  readonly epoch: string;
  /** Why this is a new life of the log; null when it goes on with the one that the file holds. */
  readonly begun: string | null;
  readonly #database: Database;
  readonly #statements: Statement[] = [];

  /**
   * Opens the file, and makes what is missing of it.
   *
   * @throws HubError `log-failed` in one line that says what to do
   */
  constructor(path: string, durability: Durability, random: () => number) {
    const folder = dirname(path);
    let database: Database | null = null;
    try {
      mkdirSync(folder, { recursive: true });
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
        throw new HubError("log-failed", `${path} is a folder; name a file in it`);
      }
      this.#database = database = new Database(path, { create: true, readwrite: true, strict: true });
      const isNew = this.#recognise(path);
      this.ask("PRAGMA journal_mode = WAL");
      this.ask("PRAGMA journal_size_limit = 16777216"); // what one huge transaction took is given back
      this.ask(`PRAGMA synchronous = ${durability}`);
      this.begun = database.transaction(() => this.#begin(path, isNew, durability, random))();
      this.ask("PRAGMA wal_checkpoint(TRUNCATE)"); // before the first event is taken, the disk knows that the file is open
      this.epoch = this.ask("SELECT epoch FROM log") as string;
    } catch (error) {
      if (database !== null) this.#release();
      if (error instanceof HubError) throw error;
      throw new HubError("log-failed", reason(error, path), { cause: error });
    }
  }

  /** True for a file without anything in it. @throws HubError for one that is not ours */
  #recognise(path: string): boolean {
    this.ask(`PRAGMA busy_timeout = ${LOCK_WAIT}`);
    this.ask("PRAGMA locking_mode = EXCLUSIVE");
    const id = this.ask("PRAGMA application_id");
    if (id === 0 && this.ask("SELECT count(*) FROM sqlite_schema") === 0) return true;
    if (id !== APPLICATION_ID) {
      throw new HubError("log-failed", `${path} is a database of something else; name another file`);
    }
    if ((this.ask("PRAGMA user_version") as number) > SCHEMA_VERSION) {
      throw new HubError(
        "log-failed",
        `${path} was written by a newer version; use that, or name another file`,
      );
    }
    return false;
  }

  #begin(path: string, isNew: boolean, durability: Durability, random: () => number): string | null {
    let begun: string | null = null;
    if (isNew) {
      this.#database.run(SCHEMA);
      this.#database.run("INSERT INTO log VALUES (?, 0, 0, 0, '')", [createEpoch(random)]);
      begun = `${path} is new`;
    }
    const boot = this.ask("SELECT boot FROM log");
    if (boot !== "" && boot !== bootId()) {
      // Numbers that clients have seen may be lost, and must not be given to other events.
      this.#database.run("UPDATE log SET epoch = ?", [createEpoch(random)]);
      begun = `the machine stopped while ${path} was open, so that its last events may be lost`;
    }
    this.#database.run("UPDATE log SET boot = ?", [durability === "full" ? "" : bootId()]);
    return begun;
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

  /** Leaves word that nothing is missing. */
  close(): void {
    try {
      this.ask("PRAGMA wal_checkpoint(TRUNCATE)");
      this.#database.run("UPDATE log SET boot = ''");
    } catch {
      // The disk is full: whoever opens the file next takes it as it was left.
    }
    this.#release();
  }

  /** SQLite keeps a file locked as long as there is a statement for it. */
  #release(): void {
    for (const statement of this.#statements) statement.finalize();
    this.#database.close();
  }
}

/** This run of the machine; where that cannot be told, this run of the process, which is on the safe side. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return unknownBoot;
  }
}
const unknownBoot = crypto.randomUUID();

/** Why the file cannot be read or written, and what to do. */
export function reason(error: unknown, path: string): string {
  const { code = "", message } = error as { code?: string; message: string };
  if (code === "SQLITE_FULL" || code === "ENOSPC") return `the disk of ${path} is full; make room on it`;
  if (code.startsWith("SQLITE_BUSY"))
    return `${path} is in use by another process; stop that, or name another file`;
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
