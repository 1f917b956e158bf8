import type { GapReason, Resume } from "../control-events.ts";
import { type Cursor, parseEventId } from "./event-id.ts";
import type { Bounds, Position } from "./event-log.ts";

/** What the id of the last event that a client has seen says of where it goes on. */
export interface LastSeen {
  /** Whether it goes on where it left off. */
  readonly resume: Resume;
  /** Null: it has no cursor that means anything here, and begins as a new client does. */
  readonly cursor: Cursor | null;
  /** Why events are missing; null: as far as the id tells, none are. */
  readonly gap: GapReason | null;
}

/**
 * Reads a `Last-Event-ID`.
 *
 * @param inherits the last event of an earlier epoch that this log goes on with; undefined for an epoch that it does not know
 */
export function parseLastEventId(
  text: string,
  { epoch, last, inherited = 0 }: Bounds,
  inherits: (epoch: string) => Cursor | undefined = () => undefined,
): LastSeen {
  if (text === "") return FRESH;
  const id = parseEventId(text);
  if (id === null || (id.epoch === epoch && id.cursor > last)) return UNKNOWN;
  if (id.epoch === epoch) return { resume: "resumed", cursor: id.cursor, gap: null };
  // Of an earlier epoch the log has what came up to its end: what came since is new to the client, and what it saw beyond
  // that is lost. Of an unknown epoch nothing can be told: everything of the current one is new.
  const end = inherits(id.epoch);
  if (end === undefined || id.cursor > end)
    return { resume: "reset", cursor: end ?? inherited, gap: "epoch" };
  return { resume: "resumed", cursor: id.cursor, gap: null };
}

/** The answer, from what was asked for and what was found in the log. */
export function toPosition(
  { resume, cursor, gap }: LastSeen,
  { epoch, last: upTo }: Bounds,
  { from, replayed, ends }: { from: Cursor; replayed: number; ends: readonly Cursor[] },
): Position {
  const isEvicted = resume === "resumed" && from > cursor!;
  return {
    epoch,
    upTo,
    cursor: from,
    resume: isEvicted ? "reset" : resume,
    gap: isEvicted ? "evicted" : gap,
    replayed,
    ends,
  };
}

const FRESH: LastSeen = { resume: "fresh", cursor: null, gap: null };
const UNKNOWN: LastSeen = { resume: "reset", cursor: null, gap: "unknown-id" };
