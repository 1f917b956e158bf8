import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { Glob } from "bun";
import type { Outcome } from "./bun-test.ts";
import { LEFT_OUT, type LeftOut } from "./left-out.ts";
import { nodeBinary } from "./node-binary.ts";

/*
 * Runs the tests of the codec, the hub and the HTTP contract in other runtimes: `bun run test:runtimes [node@22 node@24
 * node@latest deno]`. The sources as they are: Node takes the types out by itself, from 22.18 on. Fails when something is skipped
 * that is not in left-out.ts, or is there in vain.
 *
 * The tests of the server that are of its contract, and what attackers try, run in Bun against a server in each of them.
 */

const ROOT = join(import.meta.dirname, "../..");
const HERE = "test/runtimes";
const FOLDERS = ["packages/protocol", "packages/hub", "packages/http"];
/** Run against a server in another runtime; see portable-server.ts. */
const AGAINST_SERVER = ["apps/server/e2e/contract.test.ts", "apps/server/e2e/attacks.test.ts"];
const PORTABLE_SERVER = join(ROOT, "apps/server/e2e/portable-server.ts");
const RUNTIMES = ["node@22", "node@24", "node@latest", "deno"];

/** The command that runs a program with `bun:test` in it. */
async function commandOf(runtime: string): Promise<string[]> {
  if (runtime === "deno") {
    const flags = ["--allow-all", "--no-check", "--node-modules-dir=manual", "--v8-flags=--expose-gc"];
    return ["deno", "run", "--quiet", ...flags, `--import-map=${join(ROOT, HERE)}/imports.json`];
  }
  const node = await nodeBinary(runtime.slice("node@".length));
  return [node, "--no-warnings", "--expose-gc", "--import", join(ROOT, HERE, "register.mjs")];
}

async function testFiles(): Promise<string[]> {
  const files: string[] = [];
  for (const folder of FOLDERS) {
    for await (const file of new Glob("**/*.test.ts").scan(join(ROOT, folder)))
      if (!file.includes("node_modules/")) files.push(join(folder, file));
  }
  return files.toSorted();
}

/** Runs the tests of a file in a process of its own. */
async function runFile(
  command: readonly string[],
  file: string,
  place: string,
  worker: number,
): Promise<Outcome> {
  const child = Bun.spawn([...command, `${HERE}/run-file.ts`, join(ROOT, file), place], {
    cwd: ROOT,
    stdout: "ignore",
    stderr: "pipe",
    timeout: 600_000, // only what hangs takes so long
    killSignal: "SIGKILL",
    env: { ...process.env, NO_COLOR: "1", BUN_TEST_WORKER_ID: `${worker}` },
  });
  const errors = await child.stderr.text();
  await child.exited;
  try {
    return JSON.parse(await readFile(place, "utf8")) as Outcome;
  } catch {
    return {
      passed: 0,
      failed: [{ name: "(process)", error: `${child.exitCode ?? child.signalCode} ${errors}` }],
      skipped: [],
    };
  }
}

/** Runs all files, a few at a time, and tells what failed. */
async function runAll(runtime: string, files: readonly string[], used: Set<LeftOut>) {
  const command = await commandOf(runtime);
  const folder = await mkdtemp(join(tmpdir(), "sse-outcomes-"));
  const known = LEFT_OUT.filter((each) => runtime.startsWith(each.runtime ?? ""));
  const sum = { passed: 0, failed: 0, leftOut: 0 };
  const waiting = files.entries();
  const isLeftOut = (file: string, test?: string): boolean => {
    const entry = known.find((each) => file.startsWith(each.file) && each.test === test);
    if (entry !== undefined) used.add(entry);
    return entry !== undefined;
  };
  const work = async (): Promise<void> => {
    for (const [at, file] of waiting) {
      if (isLeftOut(file)) continue;
      const { passed, failed, skipped } = await runFile(command, file, join(folder, `${at}.json`), at);
      const wrong = failed.filter(({ name }) => !isLeftOut(file, name));
      for (const name of skipped)
        if (!isLeftOut(file, name)) wrong.push({ name, error: "skipped, and not in left-out.ts" });
      sum.passed += passed;
      sum.failed += wrong.length;
      sum.leftOut += failed.length + skipped.length - wrong.length;
      for (const { name, error } of wrong) console.error(`${runtime}: ${file}: ${name}\n${error}\n`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  await rm(folder, { recursive: true });
  return sum;
}

/** Runs {@link AGAINST_SERVER}, and tells what failed. */
async function runAgainstServer(runtime: string): Promise<{ passed: number; failed: number }> {
  const server = [...(await commandOf(runtime)), PORTABLE_SERVER].join(" ");
  const child = Bun.spawn(["bun", "test", ...AGAINST_SERVER], {
    cwd: ROOT,
    stdout: "ignore",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1", SSE_TEST_SERVER: server },
  });
  const text = await child.stderr.text();
  const count = (word: string): number => Number(new RegExp(`^ *(\\d+) ${word}$`, "m").exec(text)?.[1] ?? 0);
  if ((await child.exited) === 0 && count("skip") === 0) return { passed: count("pass"), failed: 0 };
  console.error(`${runtime}: ${text.replaceAll(/^\(pass\).*\n/gm, "")}`);
  return { passed: count("pass"), failed: Math.max(1, count("fail") + count("skip")) };
}

const runtimes = process.argv.length > 2 ? process.argv.slice(2) : RUNTIMES;
const files = await testFiles();
const used = new Set<LeftOut>();
let passed = 0;
let failed = 0;
for (const runtime of runtimes) {
  const start = performance.now();
  const sum = await runAll(runtime, files, used);
  const served = await runAgainstServer(runtime);
  sum.passed += served.passed;
  sum.failed += served.failed;
  passed += sum.passed;
  failed += sum.failed;
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`${runtime}: ${sum.passed} pass\n${runtime}: ${sum.failed} fail\n${runtime}: ${seconds} s`);
}
for (const each of LEFT_OUT) {
  if (used.has(each) || !runtimes.some((runtime) => runtime.startsWith(each.runtime ?? ""))) continue;
  console.error(`left-out.ts: ${each.file} ${each.test ?? ""} is left out in vain`);
  failed++;
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
