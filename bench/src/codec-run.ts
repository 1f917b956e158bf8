import { fileURLToPath } from "node:url";
import { type Environment, environment } from "./environment.ts";

const MAIN = fileURLToPath(new URL("codec/main.ts", import.meta.url));

/** What the codec's comparison prints with `--json`, as far as it is shown; times are nanoseconds for a pass. */
export interface CodecResult {
  readonly environment: Environment;
  readonly comparisons: readonly {
    readonly codec: string;
    readonly ours: string;
    readonly peer: string;
    readonly fixtures: readonly { name: string; ours: number; peer: number; ratio: number }[];
    readonly geometricMean: number;
  }[];
}

function command(rounds: number | null, json: boolean): string[] {
  const flags = [...(rounds === null ? [] : ["--rounds", String(rounds)]), ...(json ? ["--json"] : [])];
  return [process.execPath, MAIN, ...flags];
}

/** The codec's comparison is a program of its own; answers its exit code. */
export function runCodec(rounds: number | null, json: boolean): Promise<number> {
  return Bun.spawn(command(rounds, json), { stdio: ["ignore", "inherit", "inherit"] }).exited;
}

export async function measureCodec(rounds: number): Promise<CodecResult> {
  const process = Bun.spawn(command(rounds, true), { stdio: ["ignore", "pipe", "inherit"] });
  const { comparisons } = (await process.stdout.json()) as Pick<CodecResult, "comparisons">;
  return { environment: await environment(), comparisons };
}
