import { type Chronicle, type Epoch, nameOf } from "./chronicle.ts";
import type { Selection } from "./selection.ts";

/** Why nothing should have been told to be evicted in (after, upTo]. */
export function evictedFault(
  chronicle: Chronicle,
  epoch: Epoch,
  after: number,
  upTo: number,
  selection: Selection,
): string | null {
  // On its way for longer than the epoch: nobody can say what the store held then.
  if (!epoch.isWhole(upTo) || epoch !== chronicle.current) return null;
  let isHole = false;
  // A broker that knows the last evicted event of a topic tells of it early, where that is not shown yet.
  for (const event of epoch.between(after, chronicle.isShared ? Infinity : upTo)) {
    const isKept = chronicle.isKept(event);
    if (isKept && event.seq <= upTo && selection.has(event.topic)) return `${nameOf(event)} is still there`;
    // With patterns a gap is told whatever was evicted: decision 3.
    isHole ||= !isKept && (selection.hasPatterns || selection.has(event.topic));
  }
  return isHole ? null : "nothing that is selected was evicted";
}
