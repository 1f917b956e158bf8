/** A cursor as clients know it: `EPOCH-NUMBER`, within `[A-Za-z0-9._-]`, so that it survives any HTTP header. */
export type EventId = string & { readonly __brand: "EventId" };

/**
 * A position in a log: the number of the last event before it. 0 stands before the first event of a log's life.
 * A safe integer, because every engine behind the log interface can number its events so.
 */
export type Cursor = number;

/**
 * A name for one life of a log. Ids of an earlier life are recognised by it and never mistaken for another event.
 *
 * @param random numbers in [0, 1)
 */
export function createEpoch(random: () => number): string {
  let epoch = "";
  while (epoch.length < EPOCH_LENGTH) epoch += Math.floor(random() * 36).toString(36);
  return epoch;
}

/** Ids are asked for in the order of their numbers, mostly: so only every tenth of them takes writing a number. */
export function formatEventId(epoch: string, cursor: Cursor): EventId {
  const number = Math.floor(cursor / 10);
  if (number !== tens.number || epoch !== tens.epoch) {
    tens = { epoch, number, text: `${epoch}-${number === 0 ? "" : number}` };
    tens.text.charCodeAt(0); // the engine puts the text together when it is first read, else with each id
  }
  return (tens.text + DIGITS[cursor % 10]!) as EventId;
}

/** The parts of an id, or null when the text never was one of ours. */
export function parseEventId(text: string): { epoch: string; cursor: Cursor } | null {
  const match = ID.exec(text);
  if (match === null) return null;
  const cursor = Number(match[2]);
  return Number.isSafeInteger(cursor) ? { epoch: match[1]!, cursor } : null;
}

const EPOCH_LENGTH = 10;
const ID = /^([0-9a-z]{10})-(0|[1-9][0-9]{0,15})$/;

const DIGITS = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] as const;
/** What the last id and its neighbours begin with. */
let tens = { epoch: "", number: -1, text: "" };
