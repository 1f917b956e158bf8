import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

const OUTPUT = join(import.meta.dir, "../../dist");

/** Where the binary of this name is, once built. */
export function binaryPath(name: string): string {
  return join(OUTPUT, name);
}

type Compiler = (source: string, output: string) => readonly [string, ...string[]];

/** By name: what this process builds, or has built. */
const builds = new Map<string, Promise<string | null>>();

/**
 * Builds a binary from one source file, once, unless there is one newer than its source. Answers why it could not be
 * built, or null.
 */
export function build(name: string, source: string, compiler: Compiler): Promise<string | null> {
  let result = builds.get(name);
  if (result === undefined) builds.set(name, (result = compile(binaryPath(name), source, compiler)));
  return result;
}

async function compile(binary: string, source: string, compiler: Compiler): Promise<string | null> {
  if ((await Bun.file(binary).exists()) && Bun.file(binary).lastModified > Bun.file(source).lastModified) {
    return null;
  }
  // Renamed into its place, so that another process does not meet half of it.
  const output = `${binary}.${process.pid}`;
  const command = compiler(source, output);
  if (Bun.which(command[0]) === null) return `${command[0]} is not installed`;
  await mkdir(OUTPUT, { recursive: true });
  const compilation = Bun.spawn([...command], { cwd: dirname(source), stdout: "ignore", stderr: "pipe" });
  const errors = await compilation.stderr.text();
  if ((await compilation.exited) !== 0) return `${command[0]} failed: ${errors.trim()}`;
  await rename(output, binary);
  return null;
}
