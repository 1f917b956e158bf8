import type { Cursor } from "../event-id.ts";
import type { NewEvent } from "../new-event.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";

/** A store of events elsewhere, which several nodes share. */
export interface Broker {
  /** For messages: never with a password in it. */
  readonly name: string;
  /** See `EventLog.maxAppend`. */
  readonly maxAppend: number;
  /** Rejected within a few seconds when there is no answer. */
  connect(): Promise<BrokerSession>;
}

/**
 * A connection to a broker, or several of one purpose: what fails on it once is not tried again, it is closed and another
 * one is opened. Every question may be rejected with {@link BrokerRefusal}, or with anything for which the reason may pass.
 * Those with an epoch are rejected with {@link EpochMismatch} when the log is in another epoch.
 */
export interface BrokerSession {
  /**
   * What the log is; null: there is none, as it never was, or was wiped. Creates nothing.
   *
   * @param seen the event whose mark is asked for
   */
  state(seen: Cursor): Promise<BrokerState | null>;
  /**
   * Begins a log of this epoch where there is none. Another node can have been faster: ask for the state afterwards.
   *
   * @param former the epoch that the node has known, of which something may be left; "": none
   */
  create(epoch: string, former: string): Promise<void>;
  /** Ends this epoch, if it still lasts, and begins another one, which inherits the events. */
  renew(epoch: string, fresh: string): Promise<void>;
  /**
   * What follows the cursor, once there is something, or nothing after `wait` milliseconds. `from` is greater than the
   * cursor when what stood between them is gone.
   */
  next(epoch: string, after: Cursor, wait: number): Promise<{ from: Cursor; kept: readonly BrokerRecord[] }>;
  /**
   * As `EventLog.append`.
   *
   * @param seen the newest event that is known here: a log without it is in another epoch
   * @param known the number of the event that is in memory here under this topic and publisher's id
   */
  append(
    epoch: string,
    seen: Cursor,
    batch: readonly NewEvent[],
    known: (topic: Topic, idempotencyKey: string) => Cursor | undefined,
  ): Promise<BrokerAppend>;
  /** Selected events in (after, upTo], as many as fit into the bytes, one at least. */
  page(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    limits: { readonly bytes: number; readonly upTo: Cursor; readonly latest: boolean },
  ): Promise<BrokerPage>;
  /** Where a stream begins, from one view of the log that has everything up to `upTo`. */
  position(epoch: string, question: BrokerQuestion): Promise<BrokerPosition>;
  close(): void;
}

/** What has become of an append. */
export interface BrokerAppend {
  /** By event. */
  readonly cursors: readonly Cursor[];
  /** The {@link BrokerRecord.mark} of the newest of them; null when it is evicted, or the broker never loses what it has acknowledged. */
  readonly mark: string | null;
}

/** An event as a broker keeps it. */
export interface BrokerRecord {
  readonly seq: Cursor;
  /** When the broker took it, in milliseconds since 1970. */
  readonly time: number;
  /** What no other event can have that comes to have this number, when the broker has lost the end of its log. */
  readonly mark: string;
  /** The mark of the event before it, where the broker keeps that too: the tail is never joined to a part that it does not follow. */
  readonly follows?: string;
  readonly event: NewEvent;
}

/** How many of the newest events a node reads at its start: streams that come back want them. */
export const RECENT = 10_000;

/** What a broker's log is at the moment. */
export interface BrokerState {
  readonly epoch: string;
  readonly first: Cursor;
  readonly last: Cursor;
  readonly events: number;
  readonly bytes: number;
  /** The cursor before the newest events, so many as a node has in memory from its start. */
  readonly recent: Cursor;
  /** The last event that was there when this epoch began. */
  readonly inherited: Cursor;
  /** The {@link BrokerRecord.mark} of the event that was asked for; null when it is not there. */
  readonly mark: string | null;
  /** Why it takes no events although it answers, for those who run it; null when it does, or cannot tell. */
  readonly refusal: string | null;
}

/** A part of the log. */
export interface BrokerPage {
  readonly from: Cursor;
  /** Selected events, in order. */
  readonly kept: readonly BrokerRecord[];
  /** Those of them that one of the same topic and key follows, as far as the broker can tell; only with `latest`. */
  readonly outdated: ReadonlySet<Cursor>;
  /** Everything up to here has been considered. */
  readonly cursor: Cursor;
}

/** What is asked of {@link BrokerSession.position}. */
export interface BrokerQuestion {
  readonly selectors: SelectorSet;
  /** A cursor; null: the one before the last `last` selected events up to `upTo`. */
  readonly after: Cursor | null;
  readonly last: number;
  /** What stands after this is not shown here yet. */
  readonly upTo: Cursor;
  /** Whether `replayed` is wanted. */
  readonly counted: boolean;
}

export interface BrokerPosition {
  /** The cursor, or the oldest one after it from which nothing that is selected is missing. */
  readonly from: Cursor;
  /** Selected events in (from, upTo], or an estimate of their number where counting would take long. */
  readonly replayed: number;
  /** By topic: the event that ended it by `upTo`, also when that is evicted; 0, or one after `upTo`: it had not ended by then. */
  readonly ends: readonly Cursor[];
}

/** The broker has answered that it will not do it: nothing was done, and the same again is of no use as things are. */
export class BrokerRefusal extends Error {
  override readonly name = "BrokerRefusal";
}

/** The log is in another epoch than the one of the question, or has lost what the asker has seen. Nothing was done. */
export class EpochMismatch extends Error {
  override readonly name = "EpochMismatch";
}
