import type { Tally } from "./ledger.ts";
import type { LoadReport } from "./load-meter.ts";
import type { Target } from "./target.ts";

/** Some streams that are alike, of one generator process. */
export interface GroupOrder {
  readonly group: string;
  readonly target: Target;
  /** One for each stream, or one for all. */
  readonly paths: readonly string[];
  readonly streams: number;
  /** Header fields of the request, beside those of every stream. */
  readonly headers: Readonly<Record<string, string>>;
  /** How many may be connecting at a time: a listen backlog is finite, 512 for Bun. */
  readonly inFlight: number;
  /** How long one may take to open, in milliseconds, before it counts as failed. */
  readonly openWithin: number;
  readonly mark: string;
  /** Each `sampleEvery`th stream is decoded in full, the first always; 0 for none. */
  readonly sampleEvery: number;
  /** The first of the channels that the first stream is given. */
  readonly firstChannel: number;
  /** How many channels each stream is given. */
  readonly channels: number;
  /** Whether each stream has channels of its own, after those of the stream before. */
  readonly ownChannels: boolean;
  readonly stalls: boolean;
  /** Local addresses to connect from in turn, so that ports do not run out; empty leaves it to the system. */
  readonly sources: readonly string[];
}

/** What has to have come before a group is complete. */
export interface FinishOrder {
  readonly group: string;
  readonly counts: Uint32Array;
  /** As `eventKey`. */
  readonly excused: readonly number[];
  /** How long nothing may come before what is missing counts as lost, in milliseconds: a slow server is not a lossy one. */
  readonly within: number;
}

export interface ChurnOrder {
  /** Its streams connect and disconnect, over and over. */
  readonly group: string;
  /** How often each of them does, at most: milliseconds from one connect to the next; 0 for at once. */
  readonly interval: number;
  /** Milliseconds. */
  readonly duration: number;
}

export interface GroupReport {
  readonly open: number;
  /** How many could not be opened, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  /** Open streams that were not ended by us. */
  readonly dropped: number;
  readonly bytes: number;
  /** Events in the streams that were decoded. */
  readonly decodedEvents: number;
  readonly tally: Tally;
  /** From the intended time to the receipt, of what was intended after the measurement began. */
  readonly latency: string;
  /** From the order to connect until the stream was open. */
  readonly opening: string;
  /** Between one event of a decoded stream and the next. */
  readonly gaps: string;
  /** When the last payload came, as `now()`; 0 for never. */
  readonly lastReceipt: number;
  /** When the last stream opened. */
  readonly lastOpen: number;
  /** Connections that were opened and closed again. */
  readonly cycles: number;
}

/** What a generator process can be asked, and what it answers. */
export interface Calls {
  /** The time, to see that the processes agree. */
  clock(order: null): number;
  /** Opens a group's streams; answers when all are open or have failed. */
  open(order: GroupOrder): void;
  /** Closes the streams of a group and forgets nothing. */
  disconnect(order: { group: string }): void;
  /** Opens a group's streams again, those that were decoded from where they were. */
  reconnect(order: { group: string; inFlight: number }): void;
  churn(order: ChurnOrder): void;
  /** Latency is recorded of what is intended from then on; `now()`. Load is measured from the call on. */
  measure(order: { from: number }): void;
  /** Answers whether all of the group's open streams are complete, as soon as they are. */
  finish(order: FinishOrder): boolean;
  report(order: { group: string }): GroupReport;
  load(order: null): LoadReport;
  /** The cursor of a decoded stream. */
  cursor(order: { group: string }): string;
}

export type Call = keyof Calls;

export interface CallMessage {
  readonly call: Call;
  readonly number: number;
  readonly order: unknown;
}

/** Sent several times a second. */
export interface TickMessage {
  readonly kind: "tick";
  readonly open: number;
  readonly received: number;
  readonly events: number;
  readonly bytes: number;
}

export type WorkerMessage =
  | { readonly kind: "answer"; readonly number: number; readonly answer: unknown }
  | { readonly kind: "failure"; readonly number: number; readonly message: string }
  | TickMessage;
