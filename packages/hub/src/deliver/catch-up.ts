import { type GapReason, gapEvent } from "../control-events.ts";
import { type Cursor, formatEventId } from "../log/event-id.ts";
import type { Page } from "../log/event-log.ts";

/** What one read of the log becomes on the wire; null when there is nothing to write. */
export interface Slice {
  readonly bytes: Uint8Array | null;
  readonly events: number;
  readonly gaps: readonly GapReason[];
  readonly cursor: Cursor;
}

const encoder = new TextEncoder();

/** The page that the log gave for what follows a cursor, with each hole told before the first event after it. */
export function sliceOf(after: Cursor, { from, entries, superseded, cursor }: Page, epoch: string): Slice {
  const gaps: GapReason[] = [];
  let text = "";
  let seen = after;
  const gap = (reason: GapReason, to: Cursor): void => {
    gaps.push(reason);
    text += gapEvent(reason, formatEventId(epoch, seen), formatEventId(epoch, to));
    seen = to;
  };
  if (from > after) gap("evicted", from);
  for (const [at, entry] of entries.entries()) {
    const dropped = superseded?.[at] ?? 0;
    if (dropped > 0) gap("lag", dropped);
    text += entry.wire;
    seen = entry.seq;
  }
  const dropped = superseded?.[entries.length] ?? 0;
  if (dropped > 0) gap("lag", dropped);
  return { bytes: text === "" ? null : encoder.encode(text), events: entries.length, gaps, cursor };
}
