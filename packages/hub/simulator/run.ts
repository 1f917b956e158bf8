import { type Config, configOf, type LogKind } from "./config.ts";
import { finish } from "./finale.ts";
import { BrokerStore } from "./broker-store.ts";
import { MemoryStore } from "./memory-store.ts";
import type { Violation } from "./oracle/verdict.ts";
import { partSeed } from "./random.ts";
import { type Counts, RunContext } from "./run-context.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { World } from "./world.ts";

const STORES = { memory: MemoryStore, sqlite: SqliteStore, broker: BrokerStore } as const;

/** What became of a run. */
export interface Outcome {
  readonly violation: Violation | null;
  readonly counts: Counts;
  readonly hash: string;
  /** What happened, when it was asked for. */
  readonly lines: readonly string[] | null;
  /** How many of the steps were taken. */
  readonly steps: number;
}

/** The steps of a seed: each has a seed of its own, so that any of them can be left out. */
export function stepsOf({ seed, steps }: Config): number[] {
  return Array.from({ length: steps }, (_, at) => partSeed(seed, at + 1));
}

/** Runs these steps, until something is wrong. */
export function play(config: Config, steps: readonly number[], isTraced = false): Outcome {
  const run = new RunContext(config, isTraced);
  run.random.reseed(partSeed(config.seed, 0));
  const Store = STORES[config.log];
  const world = new World(run, (context, registry) => new Store(context, registry));
  let taken = 0;
  try {
    for (const step of steps) {
      if (run.verdict.violation !== null) break;
      taken++;
      run.random.reseed(step);
      world.step();
    }
    run.random.reseed(partSeed(config.seed, -1));
    if (run.verdict.violation === null) finish(world);
  } catch (error) {
    run.verdict.wrong("crash", error instanceof Error ? `${error.message}\n${error.stack}` : String(error));
  } finally {
    world.store.dispose();
  }
  const { violation } = run.verdict;
  return { violation, counts: run.counts, hash: run.trace.hash, lines: run.trace.lines, steps: taken };
}

/** A whole run of a seed. */
export function playSeed(log: LogKind, seed: number, isTraced = false): Outcome {
  const config = configOf(log, seed);
  return play(config, stepsOf(config), isTraced);
}
