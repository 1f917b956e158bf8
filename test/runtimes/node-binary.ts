import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Installs a version of Node from the npm package `node`, unless it is there already.
 *
 * @param version any that npm has of the package `node`, as `22.18.0`, `24` or `latest`
 * @returns its path
 */
export async function nodeBinary(version: string): Promise<string> {
  const folder = join(tmpdir(), "sse-runtimes", `node@${version}`);
  await mkdir(folder, { recursive: true });
  const npm = [
    "npm",
    "install",
    "--silent",
    "--no-audit",
    "--no-fund",
    "--prefix",
    folder,
    `node@${version}`,
  ];
  if ((await Bun.spawn(npm, { stdout: "ignore" }).exited) !== 0)
    throw new Error(`node@${version} cannot be installed`);
  return join(folder, "node_modules/.bin/node");
}
