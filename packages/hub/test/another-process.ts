import process from "node:process";
import { SqliteLog } from "../src/log/sqlite/index.ts";

/* Opens the log that it is told, as another process, and says what came of it. */

try {
  const log = new SqliteLog(process.argv[2]!);
  console.log("opened", log.begun);
} catch (error) {
  console.log((error as Error).message);
}
process.exit();
