import type { EventId, EventLog, NewEvent } from "../src/index.ts";

/** Appends to a log that answers at once; many events a thousand at a time, which all logs of one process do in a turn. */
export function appendAtOnce(log: EventLog, batch: readonly NewEvent[]): readonly EventId[] {
  const ids: EventId[] = [];
  for (let at = 0; at < batch.length; at += 1000) {
    const answer = log.append(batch.slice(at, at + 1000));
    if (answer instanceof Promise) throw new Error("the log takes more than a turn for it");
    ids.push(...answer);
  }
  return ids;
}
