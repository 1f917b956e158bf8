import { accessSync, constants, statfsSync } from "node:fs";

/** What a log in a file asks of the disk besides SQLite. A simulator has one that fills up, and on which writes fail. */
export interface Disk {
  /** Bytes: what is free for this user, and how large the whole is on which the folder is. */
  space(folder: string): { free: number; size: number };
  /** Whether this user can write the file or the folder. */
  isWritable(path: string): boolean;
  /**
   * Called before each commit, and before the `-wal` is written to the file. What it throws is what that throws, with nothing
   * written; a `code` as SQLite's tells what happened: `SQLITE_FULL`, `SQLITE_IOERR_WRITE`.
   */
  beforeWrite(): void;
}

export const systemDisk: Disk = {
  space: (folder) => {
    const { bavail, blocks, bsize } = statfsSync(folder);
    return { free: bavail * bsize, size: blocks * bsize };
  },
  isWritable: (path) => {
    try {
      accessSync(path, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  },
  beforeWrite: () => {},
};
