import { measureCodec } from "../codec-run.ts";
import { compare } from "../compare.ts";
import type { Peer } from "../peers/peer.ts";
import type { Progress } from "../progress.ts";
import { faultyRuns } from "../result.ts";
import type { Settings } from "../scenario.ts";
import { SCENARIOS } from "../scenarios/list.ts";
import { formatFiles, resultFile } from "./files.ts";

const ROUNDS = 3;

interface ReportOptions {
  readonly scenarios: readonly string[];
  readonly settings: Settings;
  readonly rounds: number | null;
}

/** Measures the scenarios, keeps each result as soon as it is there, and answers what was wrong, a line for each run. */
export async function measureForReport(
  { scenarios, settings, rounds }: ReportOptions,
  peers: readonly Peer[],
  progress: Progress,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const name of scenarios) {
    const scenario = SCENARIOS.find((each) => each.name === name);
    if (scenario === undefined) {
      await keep(name, await measureCodec(rounds));
      continue;
    }
    const result = await compare(scenario, { settings, rounds: rounds ?? ROUNDS, peers, progress });
    wrong.push(...faultyRuns(result));
    await keep(name, result);
  }
  return wrong;
}

async function keep(name: string, result: unknown): Promise<void> {
  const file = resultFile(name);
  await Bun.write(file, JSON.stringify(result, undefined, 2));
  await formatFiles([file]);
}
