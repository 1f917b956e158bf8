import type { GapReason, Resume } from "../control-events.ts";
import type { Cursor, EventId } from "./event-id.ts";
import type { StoredEvent } from "./stored-event.ts";
import type { NewEvent } from "./new-event.ts";
import type { SelectorSet } from "../topics/topic.ts";

/**
 * The ordered, bounded record of events: the queue of every stream, the history of every resume.
 *
 * Numbers are given in the order of appends, without reuse within an epoch.
 *
 * A log that is told of its events by a store elsewhere shows each one to everybody in the same turn: hands it to the
 * tail listeners, and from then on, not sooner, has it in `bounds` and `read`. So a stream which has read up to
 * `bounds().last` misses nothing and repeats nothing when it goes on with the tail. The append that brought the event
 * may answer before that: a client that comes with its id waits, see `position`.
 *
 * What is asked of a log is answered when it can be: a store that is out of reach for the moment makes an answer late.
 * Only what can never be answered any more is rejected, and ends the stream that asked.
 */
export interface EventLog {
  /** Null while the log can keep events; else why it cannot, in words for those who run it. */
  readonly fault: string | null;
  /** Left out by a log that has no store elsewhere. */
  readonly connection?: Connection;
  /**
   * The most events of several publishers that are to come in one append; what one of them published together always
   * does. Default: any number.
   */
  readonly maxAppend?: number;
  /**
   * Keeps the events, all or none, in order after all earlier appends. Answers, once they are kept as durably as this
   * log promises, with an id for each; for an event whose topic and `idempotencyKey` the log already holds, the id it has there.
   *
   * @throws HubError `log-failed` when the log cannot keep them now, and the same append may do later: nothing of the
   *   batch is in it; `log-unanswered` when it may be; `too-large`; `closed`
   */
  append(batch: readonly NewEvent[]): MaybePromise<readonly EventId[]>;
  /**
   * Where a stream begins. Everything in the answer but `replayed` is of one moment, and of what {@link bounds} showed in that
   * moment: nothing may be awaited between reading the bounds, what is evicted, and the ends.
   *
   * A client can come from another node of this log, which was a moment ahead: the answer to an id beyond `last` waits until
   * the event is here, or is known to be nowhere.
   *
   * @throws HubError `log-failed` when the log cannot be asked now; `closed`
   */
  position(request: PositionRequest): MaybePromise<Position>;
  /** The selected events after a cursor. Finding the cursor costs O(log n) or less, wherever it stands. */
  read(after: Cursor, selectors: SelectorSet, limits: ReadLimits): MaybePromise<Page>;
  /** Tells the listener what happens from now on, until the returned function is called. */
  tail(listener: TailListener): () => void;
  /** What it holds now. */
  bounds(): Bounds;
  /** Appends of before are kept; everything after is refused. */
  close(): MaybePromise<void>;
}

/** Who is told what becomes of a log. Neither call comes while the log answers another one but `append`. */
export interface TailListener {
  /** New events, in order: the first follows the last one of before, or `bounds().last` when this began to listen. */
  append(entries: readonly StoredEvent[]): void;
  /**
   * A new epoch of the log has begun, as when its store was lost or put back: `bounds()` shows it, and the
   * numbers of before mean nothing. What it holds up to `bounds().last` is there to read; `append` goes on from
   * there.
   */
  reset(): void;
  /** What should have come next was gone before it came: `append` goes on after `bounds().last`. */
  skip(): void;
}

/** Where a stream wants to begin. */
export interface PositionRequest {
  /** What it asks for. */
  readonly selectors: SelectorSet;
  /** The id of the last event that its client has seen; "": none. */
  readonly lastEventId: string;
  /** For a client without one, or with one that means nothing here: how many of the last selected events it wants; 0 is none, Infinity all. */
  readonly replay: number;
  /** Whether {@link Position.replayed} is wanted: counting can take long. */
  readonly counted: boolean;
}

/** Where a stream begins, from one view of the log. */
export interface Position {
  /** The epoch in which the cursors mean something. */
  readonly epoch: string;
  /** The newest event of the view. */
  readonly upTo: Cursor;
  /** The stream is given what follows this. */
  readonly cursor: Cursor;
  /** Whether that is where the client left off. */
  readonly resume: Resume;
  /** Why events are missing between what the client has seen and `cursor`; null: none are. */
  readonly gap: GapReason | null;
  /** Selected events in (cursor, upTo], some of which may be evicted by the time they are read; 0 where they were not counted. */
  readonly replayed: number;
  /**
   * By topic, in the order of `selectors.topics`: the event that ended it, 0 for one that has not ended or has begun anew. An
   * end is known for longer than the event is kept, within the bounds of `ENDS`.
   */
  readonly ends: readonly Cursor[];
}

/** How much one {@link EventLog.read} gives. */
export interface ReadLimits {
  /** The most bytes of encoded events; the first event is given whatever its size. */
  readonly bytes: number;
  /** The last event to consider. */
  readonly upTo: Cursor;
  /** True: leave out every event whose topic and key have a newer one in the log. */
  readonly latest?: boolean;
}

/** What one {@link EventLog.read} found. */
export interface Page {
  /**
   * Where the page really begins: greater than the cursor asked for when selected events after that cursor are, or
   * may be, no longer in the log. Never beyond `upTo`.
   */
  readonly from: Cursor;
  /** Selected events, oldest first. */
  readonly entries: readonly StoredEvent[];
  /**
   * With `latest`, for each entry, and once more for the end of the page: the last event left out just before it,
   * 0 for none.
   */
  readonly superseded?: readonly Cursor[];
  /** Everything up to here has been considered: read on from here. */
  readonly cursor: Cursor;
}

/** The ends of a log. `first` - 1 is the oldest cursor from which nothing is missing; an empty log has `last` = `first` - 1. */
export interface Bounds {
  /** The incarnation of the log, which is a part of its ids. */
  readonly epoch: string;
  /** The oldest event that it holds. */
  readonly first: Cursor;
  /** The newest event that it took. */
  readonly last: Cursor;
  /** How many it holds. */
  readonly events: number;
  /** What they take on the wire, in bytes. */
  readonly bytes: number;
  /**
   * The last event that was there when this epoch began; default 0, none was. A client of an earlier epoch goes on
   * after it.
   */
  readonly inherited?: Cursor;
}

/** How a log stands with a store elsewhere. */
export interface Connection {
  /** Whether the store answers. */
  readonly up: boolean;
  /** How often it was found again after it had been out of reach. */
  readonly reconnects: number;
  /** For how long, in milliseconds, the store has had events that are not here yet; 0 while there are none that it has told of. */
  readonly behind: number;
}

/** A log answers at once what it holds in memory, and with a promise what it has to fetch. */
export type MaybePromise<T> = T | Promise<T>;
