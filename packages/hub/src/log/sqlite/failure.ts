import { readFileSync, statSync } from "node:fs";

/** Why the file cannot be read or written, and what to do. */
export function reason(error: unknown, path: string): string {
  const code = codeOf(error);
  const { message = "" } = error as { message?: string };
  if (code === "SQLITE_FULL" || code === "ENOSPC") return `the disk of ${path} is full; make room on it`;
  if (code.startsWith("SQLITE_BUSY"))
    return `${path} is in use by ${holder(path)}; stop that, or name another file`;
  if (code === "SQLITE_NOTADB") return `${path} is no SQLite database; name another file`;
  if (code.startsWith("SQLITE_CORRUPT"))
    return `${path} is damaged (${message}); restore it, or move it away to begin anew`;
  if (code.startsWith("SQLITE_READONLY") || code === "SQLITE_PERM" || code === "EACCES" || code === "EROFS")
    return `${path} cannot be written; let this user write it and its folder, or name another file`;
  if (code.startsWith("SQLITE_CANTOPEN") || /^(ENOTDIR|EEXIST|ENOENT|ELOOP)$/.test(code))
    return `${path} cannot be opened or made; look at its folder and its permissions`;
  return `${path} fails: ${message}`;
}

/** True when the same may work later. */
export function isPassing(error: unknown): boolean {
  return /^SQLITE_(IOERR|NOMEM|BUSY|FULL|INTERRUPT)/.test(codeOf(error));
}

/** The system's code, or SQLite's by name: `node:sqlite` has its number, and in Deno only its text. */
function codeOf(error: unknown): string {
  const { code = "", errcode, message = "" } = error as { code?: string; errcode?: number; message?: string };
  if (code !== "ERR_SQLITE_ERROR") return code;
  const result = RESULTS.find(([number, , text]) =>
    errcode === undefined ? message.startsWith(text) : (errcode & 0xff) === number,
  );
  return result?.[1] ?? code;
}

/** What SQLite answers that somebody can do something about (https://sqlite.org/rescode.html). */
const RESULTS: readonly (readonly [number: number, name: string, text: string])[] = [
  [3, "SQLITE_PERM", "access permission denied"],
  [5, "SQLITE_BUSY", "database is locked"],
  [7, "SQLITE_NOMEM", "out of memory"],
  [8, "SQLITE_READONLY", "attempt to write a readonly database"],
  [9, "SQLITE_INTERRUPT", "interrupted"],
  [10, "SQLITE_IOERR", "disk I/O error"],
  [11, "SQLITE_CORRUPT", "database disk image is malformed"],
  [13, "SQLITE_FULL", "database or disk is full"],
  [14, "SQLITE_CANTOPEN", "unable to open database file"],
  [26, "SQLITE_NOTADB", "file is not a database"],
];

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

function hex(number: number): string {
  return number.toString(16).padStart(2, "0");
}
