import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogKind } from "../config.ts";
import { MUTANTS } from "./all.ts";
import type { Mutant } from "./mutant.ts";

const ROOT = join(import.meta.dirname, "../../../..");
const TABLE = join(ROOT, "docs/testing.md");
const COPIED = ["packages/protocol", "packages/hub"];
/** How many seeds a mutant may take, from which on; and how long, in minutes. */
const SEEDS = 1000;
const FROM = 1;
const MINUTES = 20;
const AT_ONCE = 2;

/** What became of a mutant. */
interface Found {
  readonly mutant: Mutant;
  /** Null: it was not found. */
  readonly seeds: number | null;
  readonly check: string;
}

/** Puts each fault into a copy of the packages, and lets the simulator look for it. @returns the exit code */
export async function runMutants(log: LogKind | null): Promise<number> {
  const mutants = MUTANTS.filter((mutant) => log === null || mutant.log === log);
  const waiting = [...mutants];
  const found: Found[] = [];
  const work = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const result = await look(mutant);
      found.push(result);
      console.log(rowOf(result));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const rows = mutants.map((mutant) => rowOf(found.find((each) => each.mutant === mutant)!));
  if (log === null) writeTable(rows);
  const missed = found.filter(({ seeds }) => seeds === null);
  console.log(`${mutants.length} mutants, ${missed.length} of them not found within ${SEEDS} seeds`);
  return missed.length === 0 ? 0 : 1;
}

async function look(mutant: Mutant): Promise<Found> {
  const folder = mkdtempSync(join(tmpdir(), "sse-mutant-"));
  try {
    for (const part of COPIED)
      cpSync(join(ROOT, part), join(folder, part), { recursive: true, verbatimSymlinks: true });
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    const path = join(folder, mutant.file);
    writeFileSync(path, mutated(readFileSync(path, "utf8"), mutant));
    const main = join(folder, "packages/hub/simulator/main.ts");
    const options = [
      "--json",
      "--log",
      mutant.log,
      "--seeds",
      `${SEEDS}`,
      "--from",
      `${FROM}`,
      "--minutes",
      `${MINUTES}`,
    ];
    const child = Bun.spawn([process.execPath, main, ...options], {
      stdout: "pipe",
      stderr: "pipe",
      timeout: (MINUTES + 1) * 60_000,
    });
    const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (output === "")
      return { mutant, seeds: 1, check: `does not run: ${errors.trim().split("\n").at(-1)}` };
    const { runs, failed } = JSON.parse(output.trim().split("\n").at(-1)!) as {
      runs: number;
      failed: { check: string } | null;
    };
    return { mutant, seeds: failed === null ? null : runs, check: failed?.check ?? "" };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws Error unless what is looked for stands there once */
export function mutated(source: string, { name, file, find, replace }: Mutant): string {
  const parts = source.split(find);
  if (parts.length === 2) return parts.join(replace);
  throw new Error(`"${name}": what it changes stands ${parts.length - 1} times in ${file}`);
}

function rowOf({ mutant: { name, log }, seeds, check }: Found): string {
  return `| ${name} | ${log} | ${seeds ?? "not found"} | ${check} |`;
}

function writeTable(rows: readonly string[]): void {
  const table = ["| fault | log | seeds | found by |", "| --- | --- | ---: | --- |", ...rows].join("\n");
  const text = readFileSync(TABLE, "utf8");
  const [before, after] = [text.split("<!-- mutants -->")[0]!, text.split("<!-- /mutants -->")[1]!];
  writeFileSync(TABLE, `${before}<!-- mutants -->\n\n${table}\n\n<!-- /mutants -->${after}`);
  // As the check of the repository wants it.
  spawnSync(process.execPath, ["fmt", TABLE], { cwd: ROOT, stdio: "inherit" });
}
