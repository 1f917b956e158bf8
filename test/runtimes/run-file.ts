import { writeFileSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { type Outcome, run } from "./bun-test.ts";

/** Runs one file of tests: `run-file.ts FILE OUTCOME`, of which the second is a file that is written. */
const [file, place] = process.argv.slice(2) as [string, string];
let outcome: Outcome;
const stray: Outcome["failed"] = [];
for (const kind of ["uncaughtException", "unhandledRejection"])
  process.on(kind, (error: unknown) => {
    stray.push({ name: `(${kind})`, error: inspect(error) });
  });
try {
  await import(pathToFileURL(file).href);
  outcome = await run();
} catch (error) {
  outcome = { passed: 0, failed: [{ name: "(load)", error: inspect(error) }], skipped: [] };
}
outcome.failed.push(...stray);
writeFileSync(place, JSON.stringify(outcome));
process.exit(outcome.failed.length === 0 ? 0 : 1);
