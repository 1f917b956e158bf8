import type { Scenario } from "../scenario.ts";
import { churn } from "./churn.ts";
import { fanout } from "./fanout.ts";
import { latency } from "./latency.ts";
import { limits } from "./limits.ts";
import { publish } from "./publish.ts";
import { replay } from "./replay.ts";
import { slow } from "./slow.ts";
import { storm } from "./storm.ts";
import { topics } from "./topics.ts";

/** In the order of the help and the report. */
export const SCENARIOS: readonly Scenario[] = [
  fanout,
  latency,
  publish,
  topics,
  storm,
  replay,
  slow,
  churn,
  limits,
];
