import { endEvent, gapEvent, type GapReason, readyEvent } from "../control-events.ts";
import type { Cursor, EventId } from "../log/event-id.ts";
import type { Position, PositionRequest } from "../log/event-log.ts";
import type { SelectorSet } from "../topics/topic.ts";

/** True when the client has had all that there will ever be: every topic has ended, and nothing is missing up to the ends. */
export function isOver({ patterns }: SelectorSet, { resume, gap, ends, cursor }: Position): boolean {
  if (resume !== "resumed" || gap !== null || patterns.length > 0) return false;
  return ends.every((end) => end > 0 && end <= cursor);
}

/** What the gap event tells of where the client was: nothing that is not an id of ours. */
export function gapFrom(reason: GapReason, lastEventId: string): string | null {
  return reason === "unknown-id" ? null : lastEventId;
}

/** The first bytes of a stream: where it begins, what is missing before that, and which of its topics have ended by then. */
export function readyText(
  { selectors, lastEventId }: PositionRequest,
  { resume, replayed, gap, ends, cursor }: Position,
  id: EventId,
  retry: number,
): string {
  if (gap === null)
    return readyEvent(id, retry, { resume, replayed }) + endsText(selectors, ends, 0, cursor, id);
  return (
    readyEvent(id, retry, { resume, replayed, reason: gap }) +
    gapEvent(gap, gapFrom(gap, lastEventId), id) +
    endsText(selectors, ends, 0, cursor, id)
  );
}

/**
 * What a stream is told when the log has changed under it, or events are gone that it should have had: nothing, where it goes
 * on as it was.
 *
 * @param after its cursor, in the epoch of its id
 * @param id of where it goes on
 */
export function goOnText(
  selectors: SelectorSet,
  { gap, ends, cursor }: Position,
  lastEventId: string,
  after: Cursor,
  id: EventId,
): string {
  if (gap === null) return endsText(selectors, ends, after, cursor, id);
  // Beyond events that are only evicted, numbers go on as they were, in whatever epoch; else they tell nothing of what came before.
  const told = gap === "evicted" ? after : 0;
  return gapEvent(gap, gapFrom(gap, lastEventId), id) + endsText(selectors, ends, told, cursor, id);
}

/** Topics that ended in (after, upTo]: nothing else will tell a stream that begins there. */
function endsText(
  { topics }: SelectorSet,
  ends: readonly Cursor[],
  after: Cursor,
  upTo: Cursor,
  id: EventId,
): string {
  let text = "";
  for (const [at, topic] of topics.entries()) {
    const end = ends[at]!;
    if (end > after && end <= upTo) text += endEvent(id, topic);
  }
  return text;
}
