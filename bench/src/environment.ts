import { cpus, release, totalmem, type } from "node:os";
import { descriptorLimit } from "./procfs.ts";

/** What figures depend on, beside what is measured. */
export interface Environment {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly bun: string;
  readonly openFiles: number | null;
  /** The commit, and whether files differ from it; null outside a repository. */
  readonly commit: string | null;
}

export async function environment(): Promise<Environment> {
  const files = descriptorLimit("self");
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    bun: Bun.version,
    openFiles: Number.isFinite(files) ? files : null,
    commit: await commit(),
  };
}

async function commit(): Promise<string | null> {
  const git = Bun.which("git");
  if (git === null) return null;
  const run = async (...args: string[]): Promise<string | null> => {
    const process = Bun.spawn([git, ...args], { cwd: import.meta.dir, stdout: "pipe", stderr: "ignore" });
    const text = await process.stdout.text();
    return (await process.exited) === 0 ? text.trim() : null;
  };
  const head = await run("rev-parse", "--short", "HEAD");
  return head === null ? null : (await run("status", "--porcelain")) === "" ? head : `${head}, changed`;
}
