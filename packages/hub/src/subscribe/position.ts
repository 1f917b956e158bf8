import type { GapReason, Resume } from "../control-events.ts";
import { type Cursor, parseEventId } from "../log/event-id.ts";
import { HubError } from "../errors.ts";
import type { EventLog, MaybePromise } from "../log/event-log.ts";
import type { LagPolicy } from "./stream.ts";
import { SelectorSet } from "../topics/topic.ts";

/** What a client asks for. */
export interface StreamRequest {
  /** Topics and patterns. */
  topics: readonly string[];
  /** The id of the last event that the client has seen; "" and undefined: it has seen none. */
  lastEventId?: string | undefined;
  /** For a client without a cursor: all that the log holds, the last N events, or none, which is the default. */
  replay?: "all" | number | undefined;
  /** Default `catch-up`. */
  lag?: LagPolicy | undefined;
  /**
   * Milliseconds from the opening after which the stream is closed, as `auth-expired`, within a second; default: never.
   * The client may come back with a new permission, and goes on where it was.
   */
  expiresIn?: number | undefined;
  /** Whose stream it is, for `maxStreamsPerAddress`: any text that stands for an address; default: not counted. */
  address?: string | undefined;
  /** Whose stream it is, for `maxStreamsPerPrincipal`: any text that stands for a user; default: not counted. */
  principal?: string | undefined;
}

/** Where a stream begins, and what it is told about that. Found by `Hub.locate`. */
export interface Start {
  /** What was asked for. */
  readonly selectors: SelectorSet;
  /** What it is given of what it misses. */
  readonly lag: LagPolicy;
  /** The life of the log in which `cursor` and `ends` mean something. */
  readonly epoch: string;
  /** It is given what comes after this. */
  readonly cursor: Cursor;
  /** Whether that is where the client asked to begin. */
  readonly resume: Resume;
  /** Selected events that are there after the cursor. */
  readonly replayed: number;
  /** What the client can no longer be given; null: nothing. */
  readonly gap: { readonly reason: GapReason; readonly from: string | null } | null;
  /** By topic, in the order of the selectors: the event that ended it, or 0. */
  readonly ends: readonly Cursor[];
  /** True when the client has had all that there is and all its topics have ended: tell it to stay away (204). */
  readonly over: boolean;
}

const LAG_POLICIES: readonly unknown[] = ["catch-up", "latest", "disconnect"] satisfies LagPolicy[];
function after<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/**
 * Finds out where a stream for this request begins, before there is one.
 *
 * @throws HubError `bad-selector` or `bad-request`
 */
export function locate(log: EventLog, request: StreamRequest, maxSelectors: number): MaybePromise<Start> {
  const { topics, lag = "catch-up", replay, lastEventId = "" } = request;
  if (topics.length > maxSelectors) {
    throw new HubError("bad-selector", `${topics.length} topics are more than the limit of ${maxSelectors}`);
  }
  if (!LAG_POLICIES.includes(lag)) {
    throw new HubError("bad-request", `lag must be one of ${LAG_POLICIES.join(", ")}`);
  }
  if (replay !== undefined && replay !== "all" && !(Number.isSafeInteger(replay) && replay >= 0)) {
    throw new HubError("bad-request", 'replay must be "all" or a whole number from 0 on');
  }
  const selectors = new SelectorSet(topics);
  const { epoch, last } = log.bounds();
  const id = parseEventId(lastEventId);
  const isAhead = id !== null && id.epoch === epoch && id.cursor > last;
  return after(isAhead ? log.reach?.(id.cursor) : undefined, () => find(log, request, selectors));
}

function find(log: EventLog, request: StreamRequest, selectors: SelectorSet): MaybePromise<Start> {
  const { lag = "catch-up", replay, lastEventId = "" } = request;
  const bounds = log.bounds();
  const { resume, cursor, reason } = recognise(lastEventId, log);
  return after(cursor ?? replayFrom(log, replay, selectors), (asked) =>
    after(log.survey(asked, selectors), ({ from, events }) =>
      after(log.ends(selectors.topics), (ends): MaybePromise<Start> => {
        // The log has begun a new life meanwhile: these answers mix two.
        if (log.bounds().epoch !== bounds.epoch) return find(log, request, selectors);
        const evicted = resume === "resumed" && from > asked;
        const gap = evicted ? "evicted" : reason;
        const ended = selectors.patterns.length === 0 && ends.every((end) => end > 0);
        return {
          selectors,
          lag,
          epoch: bounds.epoch,
          cursor: from,
          resume: evicted ? "reset" : resume,
          replayed: events,
          gap: gap === null ? null : { reason: gap, from: gap === "unknown-id" ? null : lastEventId },
          ends,
          over: resume === "resumed" && !evicted && ended && events === 0,
        };
      }),
    ),
  );
}

function replayFrom(
  log: EventLog,
  replay: StreamRequest["replay"],
  selectors: SelectorSet,
): MaybePromise<Cursor> {
  if (replay === undefined) return log.bounds().last;
  return log.rewind(replay === "all" ? Infinity : replay, selectors);
}

/** What an id says of where to go on; without a cursor, as a client that has none. */
function recognise(
  lastEventId: string,
  log: EventLog,
): { resume: Resume; cursor: Cursor | null; reason: GapReason | null } {
  if (lastEventId === "") return { resume: "fresh", cursor: null, reason: null };
  const { epoch, last, inherited = 0 } = log.bounds();
  const id = parseEventId(lastEventId);
  if (id === null || (id.epoch === epoch && id.cursor > last)) {
    return { resume: "reset", cursor: null, reason: "unknown-id" };
  }
  if (id.epoch !== epoch) {
    // Of an earlier epoch the log has what came up to its end: what came since is new to the client, and what it saw
    // beyond it is lost. Of one that is unknown nothing can be told: all that came in this one is new.
    const end = log.inherits?.(id.epoch);
    if (end === undefined || id.cursor > end) {
      return { resume: "reset", cursor: end ?? inherited, reason: "epoch" };
    }
  }
  return { resume: "resumed", cursor: id.cursor, reason: null };
}
