import { configOf, LOG_KINDS, type LogKind } from "./config.ts";
import type { Counts } from "./run-context.ts";
import { type Outcome, play, playSeed, stepsOf } from "./run.ts";
import { shrink } from "./shrink.ts";
import { watched } from "./watched.ts";

export interface Run {
  readonly log: LogKind;
  readonly seed: number;
}

/** What was done in many runs, and the first that failed. */
export interface Result {
  readonly counts: Counts;
  readonly runs: number;
  readonly failed: (Run & { readonly outcome: Outcome }) | null;
}

/** One after the other: seeds of this log, or of each log in turn. */
export function* freshRuns(log: LogKind | null, from: number, count: number): Generator<Run> {
  for (let at = 0; at < count; at++) yield { log: log ?? LOG_KINDS[at % LOG_KINDS.length]!, seed: from + at };
}

/** Runs until something is wrong, or `isOver`. @param tell called after each run */
export async function runAll(
  runs: Iterable<Run>,
  isOver: () => boolean,
  tell: (result: Result) => void = () => {},
): Promise<Result> {
  const counts: Counts = { steps: 0, publishes: 0, connects: 0, resumes: 0 };
  let done = 0;
  for (const { log, seed } of runs) {
    const outcome = await watched(() => playSeed(log, seed));
    done++;
    for (const name of Object.keys(counts) as (keyof Counts)[]) counts[name] += outcome.counts[name];
    const failed = outcome.violation === null ? null : { log, seed, outcome };
    const result = { counts, runs: done, failed };
    if (failed !== null) return result;
    tell(result);
    if (isOver()) break;
  }
  return { counts, runs: done, failed: null };
}

/** What happens again and again in one line. */
function counted(lines: readonly string[]): string[] {
  const found: { line: string; count: number }[] = [];
  for (const line of lines) {
    const last = found.at(-1);
    if (last?.line === line) last.count++;
    else found.push({ line, count: 1 });
  }
  return found.map(({ line, count }) => (count === 1 ? line : `${line} (${count} times)`));
}

/** What failed, the shortest history that it shrinks to, and how to see it again. */
export function explain({ log, seed, outcome }: NonNullable<Result["failed"]>): string {
  const config = configOf(log, seed);
  const steps = stepsOf(config);
  const { check, message } = outcome.violation!;
  // A rejection that nobody handles comes after the run: then the whole history has to do.
  const isRepeatable = play(config, steps).violation !== null;
  const shrunk = isRepeatable ? shrink(config, steps, outcome) : null;
  const lines = (shrunk?.outcome ?? play(config, steps, true)).lines!;
  return [
    ...counted(lines),
    "",
    `${check}: ${message}`,
    ...(shrunk === null
      ? []
      : [`${shrunk.outcome.violation!.check}, shrunk: ${shrunk.outcome.violation!.message}`]),
    shrunk === null ? "" : `${shrunk.steps.length} steps of ${outcome.steps}`,
    `bun run simulate --log ${log} --seed ${seed}`,
  ].join("\n");
}
