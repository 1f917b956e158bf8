import { HubError } from "../../errors.ts";
import { sizeOf } from "../retention.ts";
import type { StoredEvent } from "../stored-event.ts";
import { reason } from "./failure.ts";
import type { SqliteFile } from "./file.ts";

/** Leaves the disk what evicting takes, so that a log which has filled it can go on when events grow old. */
export class DiskRoom {
  readonly #file: SqliteFile;
  /** Bytes that can be written before the disk is looked at again. */
  #room = 0;
  /** For how many bytes there was no room; 0 for none. */
  #refused = 0;

  constructor(file: SqliteFile) {
    this.#file = file;
  }

  /** @throws HubError `log-failed` when the disk has no room for these events */
  takeFor(entries: readonly StoredEvent[]): void {
    let bytes = 0;
    for (const entry of entries) bytes += WRITTEN_PER_BYTE * sizeOf(entry);
    this.#take(bytes);
  }

  /** Takes what was refused last, if it was. @throws HubError `log-failed` when there is still no room for it */
  takeRefused(): void {
    this.#take(this.#refused);
  }

  #take(bytes: number): void {
    if (bytes > this.#room) this.#room = this.#file.room;
    if (bytes > this.#room) {
      this.#file.checkpoint(); // what the -wal takes is given back
      this.#room = this.#file.room;
    }
    this.#refused = bytes > this.#room ? bytes : 0;
    if (this.#refused > 0) throw new HubError("log-failed", reason({ code: "SQLITE_FULL" }, this.#file.name));
    this.#room -= bytes;
  }

  /** Others write to the disk too: it is looked at again before the next write. */
  forget(): void {
    this.#room = 0;
  }
}

/** What an event takes on the disk, at most: in the `-wal`, in the file, and beside others in pages that are not full. */
const WRITTEN_PER_BYTE = 4;
