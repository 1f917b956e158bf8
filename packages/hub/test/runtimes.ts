import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { isInstalled } from "./is-installed.ts";

/** What a program of this folder writes, in Deno. */
export async function inDeno(program: string, ...args: string[]): Promise<string> {
  const command = ["run", "--allow-all", join(import.meta.dirname, program), ...args];
  return (await promisify(execFile)("deno", command)).stdout;
}

export const noDeno: string = isInstalled("deno") ? "" : " (skipped: deno is not installed)";
