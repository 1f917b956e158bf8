import type { Tally } from "./ledger.ts";
import type { RunningPeer } from "./peers/peer.ts";

/** What the command line can change in a scenario; null leaves it to the scenario. */
export interface Settings {
  readonly streams: number | null;
  /** Milliseconds of load in each case. */
  readonly duration: number | null;
  /** Events, where a scenario publishes a number and not for a time. */
  readonly events: number | null;
  /** Events a second, where publishing is an open loop. */
  readonly rate: number | null;
  /** Bytes of data in an event. */
  readonly payload: number | null;
  /** Processes of the generator. */
  readonly processes: number | null;
}

export type Unit = "microseconds" | "milliseconds" | "seconds" | "count" | "bytes" | "share";

export interface Column {
  readonly key: string;
  readonly title: string;
  readonly unit: Unit;
}

/** One line of what a scenario measures. */
export interface Case {
  readonly label: string;
  readonly streams: number;
  /** Only for peers whose streams can resume. */
  readonly resume?: boolean;
}

/** What one run of one case against one peer came to. */
export interface Outcome {
  /** Streams that were open. */
  readonly streams: number;
  readonly published: number;
  readonly deliveries: number;
  readonly tally: Tally;
  /** Publish requests that failed, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Streams that could not be opened, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** Streams that the server ended. */
  readonly dropped: number;
  /** By the keys of the columns; null where it could not be measured. */
  readonly figures: Readonly<Record<string, number | null>>;
  /** What a reader of the figures should know. */
  readonly notes: readonly string[];
  /** Why the figures mean nothing; empty when they do. */
  readonly voids: readonly string[];
}

export interface Scenario<Kind extends Case = Case> {
  readonly name: string;
  /** What it answers, as a question. */
  readonly question: string;
  /** How, in a sentence or two. */
  readonly method: string;
  /** What nobody should conclude from it. */
  readonly doesNotShow: string;
  /** What a peer has to be able to: streams, at least, unless "none". */
  readonly needs: "none" | "streams" | "topics" | "resumes";
  readonly columns: readonly Column[];
  /** The key of the column that peers are compared by. */
  readonly primary: string;
  cases(settings: Settings): readonly Kind[];
  run(peer: RunningPeer, each: Kind, settings: Settings): Promise<Outcome>;
}
