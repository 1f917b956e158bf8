import { compareCodec } from "../codec/compare.ts";
import { compare, peersNamed } from "../compare.ts";
import type { Progress } from "../progress.ts";
import { faultyRuns } from "../result.ts";
import type { Settings } from "../scenario.ts";
import { SCENARIOS } from "../scenarios/list.ts";
import { BenchError } from "../target.ts";
import { formatFiles, resultFile } from "./files.ts";

/** Whom a scenario of the report compares, unless told otherwise: those that its question is about. */
const PEERS: Readonly<Record<string, readonly string[]>> = {
  fanout: ["hub", "hub-sqlite", "hub-node", "hub-deno", "better-sse", "floor", "floor-tick", "go", "sketch"],
  latency: ["hub", "floor", "go"],
  publish: ["hub", "hub-sqlite", "bare"],
  topics: ["hub", "nchan", "floor-topics"],
  storm: ["hub", "go", "floor"],
  replay: ["hub", "hub-sqlite"],
  slow: ["hub"],
  churn: ["hub", "go"],
  limits: ["hub", "go"],
};

interface ReportOptions {
  readonly scenarios: readonly string[];
  readonly settings: Settings;
  readonly rounds: number | null;
  /** Compared in every scenario; none: each has those that its question is about. */
  readonly peers: readonly string[];
}

/** Measures the scenarios, keeps each result as soon as it is there, and answers what was wrong, a line for each run. */
export async function measureForReport(
  { scenarios, settings, rounds, peers }: ReportOptions,
  progress: Progress,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const name of scenarios) {
    const scenario = SCENARIOS.find((each) => each.name === name);
    if (scenario === undefined) {
      await keep(name, await compareCodec(rounds, progress));
      continue;
    }
    const compared = peersNamed(peers.length > 0 ? peers : PEERS[name]!);
    try {
      const result = await compare(scenario, { settings, rounds: rounds ?? 1, peers: compared, progress });
      wrong.push(...faultyRuns(result));
      await keep(name, result);
    } catch (error) {
      // That one cannot be run here is no reason to go without the others.
      if (!(error instanceof BenchError)) throw error;
      wrong.push(error.message);
    }
  }
  return wrong;
}

async function keep(name: string, result: unknown): Promise<void> {
  const file = resultFile(name);
  await Bun.write(file, JSON.stringify(result, undefined, 2));
  await formatFiles([file]);
}
