import type { LagPolicy } from "../../src/index.ts";
import { type Chronicle, countSelected, type Epoch, firstSelected, nameOf, type Place } from "./chronicle.ts";
import { evictedFault } from "./eviction.ts";
import type { Selection } from "./selection.ts";
import type { Check } from "./verdict.ts";

/** What a client asked for, and what the log of its node showed then. */
export interface Asked {
  readonly lastEventId: string;
  /** How many of the last events it wants, if it comes without a cursor. */
  readonly replay: number;
  readonly lag: LagPolicy;
  readonly epoch: Epoch;
  readonly last: number;
  /** The last event of the store then. */
  readonly stored: number;
  /** The last event of the node when it had the answer; grows until then. */
  answered: number;
  /** Whether the log has changed since otherwise than by new events: then it is asked anew. */
  isMoved: () => boolean;
}

/** The data of `sse:ready`. */
export interface Ready {
  readonly resume: string;
  readonly replayed: number;
  readonly reason?: string;
}

type Wrong = (check: Check, message: string) => void;

/** Checks where a stream begins. @param from what the client's id stands for; null: nothing */
export function beginsWell(
  asked: Asked,
  from: Place | null,
  { resume, replayed, reason }: Ready,
  to: Place,
  selection: Selection,
  chronicle: Chronicle,
  wrong: Wrong,
): void {
  const { lastEventId } = asked;
  const start = { asked, to, selection, chronicle, wrong };
  const fault = (message: string): void =>
    wrong("ready", `${lastEventId || "no id"} -> ${to.epoch.id(to.seq)}: ${message}`);
  if ((reason !== undefined) !== (resume === "reset")) fault(`${resume} with the reason ${reason}`);
  if (resume === "fresh") {
    if (lastEventId !== "") fault("fresh, though the client had an id");
    asNew(start);
  } else if (resume === "resumed") resumed(from, start);
  else if (reason === "unknown-id") {
    if (
      from !== null &&
      from.epoch === to.epoch &&
      from.seq <= asked.stored &&
      to.epoch.isWhole(from.seq) // the store can have lost it while it was asked
    )
      fault(`unknown, though the log had got to ${asked.stored}`);
    asNew(start);
  } else if (reason === "evicted") {
    if (from === null || !to.epoch.goesOnWith(from.epoch, from.seq))
      fault("evicted, though its epoch is another");
    else {
      const why = evictedFault(chronicle, to.epoch, from.seq, to.seq, selection);
      if (why !== null) wrong("gap", `evicted from ${lastEventId} to ${to.epoch.id(to.seq)}: ${why}`);
    }
  } else if (reason === "epoch") otherEpoch(from, start, fault);
  else fault(`no such reason as ${reason}`);
  checkCount(replayed, start);
}

/** False: the store has lost events of this epoch, or has left it: of what was there then, nothing is known any more. */
function isWhole(epoch: Epoch, chronicle: Chronicle): boolean {
  return epoch === chronicle.current && epoch.lost.length === 0;
}

interface Start {
  readonly asked: Asked;
  readonly to: Place;
  readonly selection: Selection;
  readonly chronicle: Chronicle;
  readonly wrong: Wrong;
}

/** It begins with what it asked to be replayed, and misses nothing that came after it had asked. */
function asNew({
  asked: { replay, epoch, last, answered, isMoved },
  to,
  selection,
  chronicle,
  wrong,
}: Start): void {
  if (to.epoch !== epoch || isMoved() || !isWhole(epoch, chronicle)) return;
  if (to.seq > answered)
    wrong("ready", `it begins at ${epoch.id(to.seq)}, when the log had got to ${answered}`);
  if (replay === 0 && to.seq < last) wrong("ready", `it begins at ${epoch.id(to.seq)}, before ${last}`);
  if (replay === 0) return;
  let kept = 0;
  for (const event of epoch.between(chronicle.first - 1, last))
    if (selection.has(event.topic) && chronicle.isKept(event)) kept++;
  const wanted = Math.min(replay, kept);
  const given = countSelected(epoch, to.seq, answered, selection);
  if (given < wanted) wrong("ready", `it is given ${given} of the last events, of ${wanted} that there are`);
  const before = countSelected(epoch, to.seq, last, selection);
  if (before > replay) wrong("ready", `it is given the last ${before} events, and wanted ${replay}`);
}

function resumed(from: Place | null, { asked: { lastEventId }, to, selection, wrong }: Start): void {
  if (from === null || !to.epoch.goesOnWith(from.epoch, from.seq)) {
    wrong("hole", `resumed from ${lastEventId}, which means nothing in ${to.epoch.name}`);
    return;
  }
  if (to.seq < from.seq) wrong("order", `resumed from ${lastEventId} at ${to.epoch.id(to.seq)}`);
  const missing = firstSelected(to.epoch, from.seq, to.seq, selection);
  if (missing !== undefined && to.epoch.isCertain(missing.seq))
    wrong("hole", `resumed from ${lastEventId} at ${to.epoch.id(to.seq)}: ${nameOf(missing)} is missing`);
}

function otherEpoch(
  from: Place | null,
  { asked, to, selection, chronicle, wrong }: Start,
  fault: (message: string) => void,
): void {
  if (asked.lastEventId.startsWith(`${to.epoch.name}-`)) fault("of another epoch, though it is the same");
  if (!chronicle.isShared && from !== null && to.epoch.goesOnWith(from.epoch, from.seq))
    fault("of another epoch, and nothing is lost");
  if (chronicle.isShared && to.seq < to.epoch.inherited) fault("what the epoch has inherited comes again");
  // What the epoch has taken itself is new to the client.
  const kept = chronicle.firstKept(to.epoch, to.epoch.inherited, to.seq, selection);
  if (kept !== undefined)
    wrong("gap", `epoch from ${asked.lastEventId} to ${to.epoch.id(to.seq)}: ${nameOf(kept)} is still there`);
}

/** `replayed` is what was there when it began, less what was evicted while it was counted. */
function checkCount(
  replayed: number,
  { asked: { epoch, last, answered, isMoved }, to, selection, chronicle, wrong }: Start,
): void {
  if (to.epoch !== epoch || isMoved() || !isWhole(epoch, chronicle)) return;
  const most = countSelected(epoch, to.seq, Math.max(answered, to.seq), selection);
  let least = 0;
  for (const event of epoch.between(Math.max(to.seq, chronicle.first - 1), last))
    if (selection.has(event.topic) && chronicle.isKept(event)) least++;
  if (replayed < least || replayed > most)
    wrong("ready", `replayed is ${replayed}, and there are ${least} to ${most}`);
}
