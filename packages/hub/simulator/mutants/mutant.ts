import type { LogKind } from "../config.ts";

/** A fault that is put into the code, for the simulator to find. */
export interface Mutant {
  /** What is wrong with it, for the table in docs/testing.md. */
  readonly name: string;
  /** From the root of the project. */
  readonly file: string;
  /** What stands there once, and what is put in its place. */
  readonly find: string;
  readonly replace: string;
  /** The log in which it shows. */
  readonly log: LogKind;
}
