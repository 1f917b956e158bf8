import { BROKER } from "./broker.ts";
import { DELIVER } from "./deliver.ts";
import { DECODE, LOG, PUBLISH } from "./log.ts";
import type { Mutant } from "./mutant.ts";
import { SQLITE } from "./sqlite.ts";

/** Every fault that the simulator has to find. */
export const MUTANTS: readonly Mutant[] = [...DELIVER, ...LOG, ...PUBLISH, ...DECODE, ...SQLITE, ...BROKER];
