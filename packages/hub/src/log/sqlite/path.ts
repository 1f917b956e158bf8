import { closeSync, constants, mkdirSync, openSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { HubError } from "../../errors.ts";
import type { Disk } from "./disk.ts";

/** The path, absolute: a process may change its folder. A `..` stays, for after a symlink only the system knows what it means. */
export function absolutePath(path: string): string {
  if (!path.includes("..")) return resolve(path);
  return isAbsolute(path) ? path : `${process.cwd()}/${path}`;
}

/**
 * The path of the file itself, which is where SQLite puts the `-wal`, and in which folder it needs room. Makes the file's
 * folder where there is none, for this user alone.
 *
 * @param path absolute; it, or a folder in it, may be a symlink, also one to a file that is yet to be made
 */
export function realPath(path: string, links = 0): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Only the native variant takes a `..` for what it means after a symlink.
  const folder = realpathSync.native(dirname(path));
  const real = join(folder, basename(path));
  let target: string;
  try {
    target = readlinkSync(real);
  } catch {
    return real; // no link
  }
  if (links === MAX_LINKS)
    throw new HubError("log-failed", `${path} is a symlink to itself; name another file`);
  return realPath(isAbsolute(target) ? target : `${folder}/${target}`, links + 1);
}

/** @throws HubError when the file, or the folder in which SQLite makes its `-wal`, is not to be written */
export function checkAccess(path: string, disk: Disk): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true) {
    throw new HubError("log-failed", `${path} is a folder; name a file in it`);
  }
  for (const name of stat === undefined ? [dirname(path)] : [path, dirname(path)]) {
    if (disk.isWritable(name)) continue;
    const why = name === path ? "" : `${path} is to be in it: `;
    throw new HubError(
      "log-failed",
      `${name} is read-only; ${why}let this user write it, or name another file`,
    );
  }
}

/**
 * Makes the file where there is none, for this user alone: it holds what only some may read. SQLite would let everybody read it,
 * and gives the `-wal` the permissions of the file. What is there keeps those that its owner chose.
 */
export function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** What tells a file from another one of its name; null when there is none. */
export function identity(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}

/** Links that lead to links, before this is taken for a circle. */
const MAX_LINKS = 40;
