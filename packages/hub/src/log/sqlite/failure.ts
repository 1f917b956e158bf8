import { readFileSync, statSync } from "node:fs";

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
  if (code.startsWith("SQLITE_CANTOPEN") || /^(ENOTDIR|EEXIST|ENOENT|ELOOP)$/.test(code))
    return `${path} cannot be opened or made; look at its folder and its permissions`;
  return `${path} fails: ${message}`;
}

/** True when the same may work later. */
export function isPassing(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === "string" && /^SQLITE_(IOERR|NOMEM|BUSY|FULL|INTERRUPT)/.test(code);
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

function hex(number: number): string {
  return number.toString(16).padStart(2, "0");
}
