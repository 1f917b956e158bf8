import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { logContract, type LogUnderTest } from "../../../test/log-contract.ts";
import { SqliteLog, type SqliteLogOptions } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "sse-log-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, `${++files}.db`);

function logIn(window?: SqliteLogOptions["window"]): LogUnderTest {
  const more = window === undefined ? {} : { window };
  let path: string;
  return {
    open: async (options) => new SqliteLog((path = newPath()), { ...options, ...more }),
    reopen: async () => new SqliteLog(path, more),
  };
}

logContract("sqlite", logIn());
logContract("sqlite, read from the file", logIn({ maxEvents: 1 }));
logContract("sqlite, read from the file and from memory", logIn({ maxEvents: 13 }));
