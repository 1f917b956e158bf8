import type { EventLog, MaybePromise } from "../src/index.ts";
import type { SimulatedNode } from "./node.ts";

/** What a kind of log keeps its events in: outlives the nodes that open it, and has misfortunes of its own. */
export interface StoreUnderTest {
  /** The log, as one node sees it. @throws HubError (or rejects) when the store cannot be used now */
  open(node: SimulatedNode): MaybePromise<EventLog>;
  /** Something happens to the store. */
  disturb(): void;
  /** Everything works from now on. */
  heal(): void;
  /** A node has stopped: without a word, or after its hub has closed. */
  stopped(node: SimulatedNode, how: "crashed" | "closed"): void;
  /** Whether a node may stop now: one can be the last who knows of a loss. */
  maySpare(node: SimulatedNode): boolean;
  /** Whether, when nothing is under way, nothing waits for a time to pass either. */
  readonly isPrompt: boolean;
  /** Whether, with nothing under way, a node has all that the store has and can answer what it is asked. */
  isWell(node: SimulatedNode): boolean;
  /** Holds the log against what it should keep. */
  check(): void;
  /** At the end of a run, when all is well and a while has passed. */
  checkAtEnd(): void;
  dispose(): void;
}
