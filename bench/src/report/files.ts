import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** The page. */
export const PAGE: string = `${ROOT}docs/benchmarks.md`;
/** Its charts, and in `results` the kept measurements: all that the page says is made from those. */
export const FOLDER: string = `${ROOT}docs/benchmarks`;

export function resultFile(scenario: string): string {
  return `${FOLDER}/results/${scenario}.json`;
}

/** Formats files as the rest of the repository, so that generated ones pass its check. */
export async function formatFiles(files: readonly string[]): Promise<void> {
  const formatter = Bun.spawn([process.execPath, "fmt", ...files], {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const said = await formatter.stderr.text();
  if ((await formatter.exited) !== 0) throw new Error(`formatting ${files.join(", ")} failed: ${said}`);
}
