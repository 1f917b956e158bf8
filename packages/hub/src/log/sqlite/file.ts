import { statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HubError } from "../../errors.ts";
import type { Sliced } from "../time-sliced-queue.ts";
import type { Disk } from "./disk.ts";
import { reason } from "./failure.ts";
import { absolutePath, checkAccess, identity, makePrivate, realPath } from "./path.ts";
import { APPLICATION_ID, SCHEMA, SCHEMA_VERSION, UPGRADES } from "./schema.ts";

/** A file that is open for this process alone. */
export class SqliteFile {
  /** True when nothing of this log was there before. */
  readonly isNew: boolean;
  /** True where texts are read up to their first NUL only, as in Node 22 and in Deno. */
  readonly cutsText: boolean;
  /** As it was named, absolute. */
  readonly name: string;
  /** Where it is, without symlinks. */
  readonly #path: string;
  readonly #disk: Disk;
  readonly #database: DatabaseSync;
  /** What was asked, by its text. */
  readonly #questions = new Map<string, Statement>();
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #rollback: Statement;
  /** From how many pages on the `-wal` is written into the file itself, after a commit. */
  readonly #checkpointPages: number;
  /** Which file was opened; its name may come to stand for another. */
  readonly #identity: string;

  /**
   * Opens the file, and makes what is missing of it. On a full disk it opens what is there.
   *
   * @throws HubError `log-failed` in one line that says what to do
   */
  constructor(path: string, durability: Durability, disk: Disk) {
    this.name = absolutePath(path);
    this.#disk = disk;
    let database: DatabaseSync | null = null;
    try {
      this.#path = realPath(this.name);
      checkAccess(this.#path, disk);
      makePrivate(this.#path);
      this.#database = database = new DatabaseSync(this.#path);
      this.isNew = this.#recognise();
      this.#identity = identity(this.#path)!;
      this.ask("PRAGMA journal_mode = WAL");
      this.ask("PRAGMA journal_size_limit = 16777216"); // what one huge transaction took is given back
      // All of the -wal may become a part of the file, for which the reserve has to do.
      this.#checkpointPages = Math.min(1000, Math.max(16, Math.floor(this.#space().reserve / 2 / PAGE)));
      this.ask(`PRAGMA wal_autocheckpoint = ${this.#checkpointPages}`);
      // Thousands of topics in turn are as many pages of the index: reading them anew took a fifth of evicting.
      this.ask("PRAGMA cache_size = -32768"); // KiB
      this.ask(`PRAGMA synchronous = ${durability}`);
      this.cutsText = this.ask("SELECT char(97, 0)") === "a";
      this.#begin = this.prepare("BEGIN IMMEDIATE");
      this.#commit = this.prepare("COMMIT");
      this.#rollback = this.prepare("ROLLBACK");
      if (this.isNew || this.#version < SCHEMA_VERSION) this.transaction(() => this.#upgrade());
    } catch (error) {
      database?.close();
      if (error instanceof HubError) throw error;
      throw new HubError("log-failed", reason(error, this.name), { cause: error });
    }
  }

  /** True for a file without anything in it. @throws HubError for one that is not ours */
  #recognise(): boolean {
    this.ask(`PRAGMA busy_timeout = ${LOCK_WAIT}`);
    this.ask("PRAGMA locking_mode = EXCLUSIVE");
    const id = this.ask("PRAGMA application_id");
    if (id === 0 && this.ask("SELECT count(*) FROM sqlite_schema") === 0) return true;
    if (id !== APPLICATION_ID) {
      throw new HubError("log-failed", `${this.name} is a database of something else; name another file`);
    }
    if (this.#version > SCHEMA_VERSION) {
      throw new HubError(
        "log-failed",
        `${this.name} was written by a newer version; use that, or name another file`,
      );
    }
    return false;
  }

  get #version(): number {
    return this.ask("PRAGMA user_version") as number;
  }

  #upgrade(): void {
    if (this.isNew) this.#database.exec(SCHEMA);
    else while (this.#version < SCHEMA_VERSION) this.#database.exec(UPGRADES[this.#version]!);
  }

  #space(): { free: number; reserve: number } {
    const { free, size } = this.#disk.space(dirname(this.#path));
    return { free, reserve: Math.min(RESERVE, size / 4) };
  }

  /** How many bytes the disk and the empty pages of the file can take, besides what is to be left free. */
  get room(): number {
    const { free, reserve } = this.#space();
    return free - reserve + (this.ask("PRAGMA freelist_count") as number) * PAGE;
  }

  /** Makes all of a change or, when that throws, nothing of it. */
  transaction(change: () => void): void {
    this.#begin.run();
    try {
      change();
      this.#finish();
    } catch (error) {
      this.#undo();
      throw error;
    }
  }

  /**
   * {@link transaction} of a change that is made in parts. Nothing else may be asked of the file between two of them. One that is
   * left (`return()` of the generator) has changed nothing. Then {@link writeBack} has to be called.
   */
  *slicedTransaction(change: Sliced<void>): Sliced<void> {
    this.#begin.run();
    let isDone = false;
    try {
      yield* change;
      this.holdCheckpoints();
      this.#finish();
      isDone = true;
    } finally {
      if (!isDone) this.#undo();
      this.releaseCheckpoints();
    }
  }

  /** No commit writes the `-wal` into the file any more: {@link writeBack} has to be called. */
  holdCheckpoints(): void {
    this.ask("PRAGMA wal_autocheckpoint = 0");
  }

  releaseCheckpoints(): void {
    this.ask(`PRAGMA wal_autocheckpoint = ${this.#checkpointPages}`);
  }

  /** Writes what is in the `-wal` into the file where that is due, as a commit does otherwise. */
  writeBack(): void {
    const size = statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    if (size < this.#checkpointPages * PAGE) return;
    this.#disk.beforeWrite();
    this.ask("PRAGMA wal_checkpoint(PASSIVE)");
  }

  #finish(): void {
    this.#disk.beforeWrite();
    this.#commit.run();
  }

  #undo(): void {
    try {
      this.#rollback.run();
    } catch {
      // SQLite has done it already, as it does when the disk is full.
    }
  }

  /** Writes everything to the file itself, through to the disk unless the durability is `off`, and empties the `-wal`. */
  checkpoint(): void {
    this.#disk.beforeWrite();
    this.ask("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /**
   * Looks whether what is written will be found again under the file's name. A `-wal` that was taken away is made anew,
   * with all that it held.
   *
   * @throws HubError `log-failed` when the file was taken away
   */
  checkPlace(): void {
    // By both: a symlink may be put to another file, or the file be moved and the symlink with it, away from the -wal.
    if (identity(this.name) !== this.#identity || identity(this.#path) !== this.#identity) {
      throw new HubError(
        "log-failed",
        `${this.name} was deleted or replaced while it was open: restart the server to go on with what is there now, ` +
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

  /** A statement that lives as long as the file is open. Its parameters are bare `?`: Node 22 knows no `?1` by its place. */
  prepare(sql: string): Statement {
    const statement = this.#database.prepare(sql);
    statement.setReturnArrays(true);
    return statement as unknown as Statement;
  }

  /** The first value of the first row. */
  ask(sql: string): unknown {
    let question = this.#questions.get(sql);
    if (question === undefined) this.#questions.set(sql, (question = this.prepare(sql)));
    return question.all()[0]?.[0];
  }

  close(): void {
    try {
      this.checkpoint();
    } catch {
      // The disk is full: whoever opens the file next finds the rest in the -wal.
    }
    this.#database.close();
  }
}

/** As `node:sqlite` has it, with an array for each row. */
export interface Statement {
  all(...parameters: Value[]): unknown[][];
  run(...parameters: Value[]): unknown;
}

/** Not the type of `node:sqlite`: declarations that name it need `@types/node`. */
type Value = null | number | bigint | string | Uint8Array;

/**
 * What an acknowledged event survives:
 * - `full`: everything that the disk survives, loss of power included. Every commit waits for the disk.
 * - `normal`: the end of the process, however it comes. When the whole machine stops without warning, the last commits
 *   may be lost, never the order or the file: clients that have seen them are told so.
 * - `off`: the end of the process. When the whole machine stops, the file may be damaged.
 */
export type Durability = "full" | "normal" | "off";

/** How long to wait for another process that is just ending, in milliseconds. */
const LOCK_WAIT = 1000;
/** What is left free on the disk, in bytes, of a small disk a quarter: evicting writes before it frees anything. */
const RESERVE = 8 * 1024 * 1024;
const PAGE = 4096;
