export type { Disk } from "./disk.ts";
export type { Durability } from "./file.ts";
export { SQLITE_LOG_DEFAULTS, SqliteLog, type SqliteLogOptions } from "./sqlite-log.ts";
