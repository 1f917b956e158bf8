import type { Config } from "./config.ts";
import { Chronicle } from "./oracle/chronicle.ts";
import { Verdict } from "./oracle/verdict.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { Trace } from "./trace.ts";

/** How much was done, and so checked. */
export interface Counts {
  steps: number;
  publishes: number;
  connects: number;
  resumes: number;
}

/** What all parts of one run share. */
export class RunContext {
  readonly config: Config;
  readonly random = new Random(0);
  readonly scheduler = new Scheduler();
  readonly verdict = new Verdict();
  readonly chronicle = new Chronicle(this.verdict);
  readonly trace: Trace;
  /** Nothing fails any more: at the end everybody gets everything. */
  isCalm = false;
  /** All clients have left: nodes that stop now are not replaced. */
  isLeaving = false;
  readonly counts: Counts = { steps: 0, publishes: 0, connects: 0, resumes: 0 };
  /** The time of day at the beginning, and what it was set forward or back by since. */
  date = Date.UTC(2030, 0, 1);

  constructor(config: Config, isTraced: boolean) {
    this.config = config;
    this.trace = new Trace(isTraced);
  }
}
