import type { Asked } from "./requests.ts";
import type { Answer } from "./wire.ts";

/** What is asked together. */
export interface Exchange {
  readonly asked: readonly Asked[];
  /**
   * What its answers tell. `whole`: each request arrives as it was meant. `pipeline`: so do several at once, and an answer may
   * be lost. `cut off`: the last bytes never arrive, so that nothing may be published. `mutated`: it may mean anything.
   */
  readonly trust: "whole" | "pipeline" | "cut off" | "mutated";
  /** What was done to it. */
  readonly what: string;
}

/** How an exchange came to its end. */
export interface Outcome {
  /** No answer, and the connection is open still. */
  readonly isTimeout: boolean;
  /** The server has closed the connection: nothing more is to come. */
  readonly isClosed: boolean;
}

export interface Stage {
  readonly port: number;
  readonly answered: (exchange: Exchange, answers: readonly Answer[], outcome: Outcome) => void;
}

/** One connection, as it was drawn from a seed. */
export interface Case {
  readonly exchanges: readonly Exchange[];
  /** That are sent. */
  readonly bytes: number;
  play(stage: Stage): Promise<void>;
}
