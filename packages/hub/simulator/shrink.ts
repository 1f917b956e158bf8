import type { Config } from "./config.ts";
import type { Check } from "./oracle/verdict.ts";
import { type Outcome, play } from "./run.ts";

/** Runs that one search may take. */
const MOST_RUNS = 3000;

/** A history that fails in the same way. */
export interface Shrunk {
  readonly config: Config;
  readonly steps: readonly number[];
  readonly outcome: Outcome;
}

/** What makes a run simpler, if it fails all the same. */
const SIMPLER: readonly Partial<Config>[] = [
  { isLate: false },
  { logErrors: 0 },
  { throws: 0 },
  { hasSlowSchemas: false },
  { cuts: 0 },
  { bigData: 0 },
  { ids: 0 },
  { json: 0 },
  { envelopes: [undefined] },
  { controls: ["event"] },
  { nodes: 1 },
  { socket: 1e9 },
];

/** The shortest history that it finds: leaves out steps, many at once and then one by one, for as long as the same check fails. */
export function shrink(
  config: Config,
  steps: readonly number[],
  { violation, steps: taken }: Outcome,
): Shrunk {
  const search = new Search(violation!.check, config, steps.slice(0, taken));
  for (const simpler of SIMPLER) search.simplify(simpler);
  let size = Math.ceil(search.steps.length / 2);
  while (size > 0 && !search.isTired) {
    const isShorter = search.leaveOut(size);
    if (size > 1) size = Math.ceil(size / 2);
    else if (!isShorter) break;
  }
  const outcome = play(search.config, search.steps, true);
  return { config: search.config, steps: search.steps, outcome };
}

class Search {
  readonly #check: Check;
  config: Config;
  steps: readonly number[];
  #runs = 0;

  constructor(check: Check, config: Config, steps: readonly number[]) {
    this.#check = check;
    this.config = config;
    this.steps = steps;
  }

  get isTired(): boolean {
    return this.#runs >= MOST_RUNS;
  }

  #fails(config: Config, steps: readonly number[]): Outcome | null {
    this.#runs++;
    const outcome = play(config, steps);
    return outcome.violation?.check === this.#check ? outcome : null;
  }

  simplify(simpler: Partial<Config>): void {
    const config = { ...this.config, ...simpler };
    if (this.#fails(config, this.steps) !== null) this.config = config;
  }

  /** Leaves out so many steps at each place. @returns whether that was possible anywhere */
  leaveOut(size: number): boolean {
    let isShorter = false;
    for (let at = 0; at < this.steps.length && !this.isTired;) {
      const rest = [...this.steps.slice(0, at), ...this.steps.slice(at + size)];
      const outcome = this.#fails(this.config, rest);
      if (outcome === null) at += size;
      else {
        this.steps = rest.slice(0, outcome.steps);
        isShorter = true;
      }
    }
    return isShorter;
  }
}
