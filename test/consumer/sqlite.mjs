import { SqliteLog } from "@sse/hub/sqlite";

export const open = () => new SqliteLog("events.db");
