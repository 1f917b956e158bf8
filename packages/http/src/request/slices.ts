import type { MaybePromise } from "@sse/hub";

/**
 * Work that can be left off wherever it yields: so many bytes of text, or one event. An event of 1 MiB is the longest step
 * there is between two of them.
 */
export type Sliced<T> = Generator<undefined, T, undefined>;

/**
 * Does the work, in slices. All requests share the slice of a turn of the event loop: however many have work, everything else
 * has its turn. What is done within the first slice costs no promise, and throws at once.
 */
export function inSlices<T>(work: Sliced<T>): MaybePromise<T> {
  if (waiting.length === 0) {
    const slice = runSlice(work);
    if (slice.done === true) return slice.value;
  }
  return new Promise((resolve, reject) => {
    const goOn = (): boolean => {
      try {
        const slice = runSlice(work);
        if (slice.done === true) resolve(slice.value);
        return slice.done === true;
      } catch (error) {
        reject(error);
        return true;
      }
    };
    if (waiting.push(goOn) === 1) setImmediate(turn);
  });
}

/** How long the work of all requests may hold the event loop before everything else has its turn, in milliseconds. */
const SLICE = 10;

/** Each does a slice of its work, and says whether it is done. */
const waiting: (() => boolean)[] = [];
/** When the slice of this turn is over; 0: none was begun in it. */
let until = 0;

function turn(): void {
  until = 0;
  while (waiting.length > 0 && !isOver()) {
    const goOn = waiting.shift()!;
    if (!goOn()) waiting.push(goOn);
  }
  if (waiting.length > 0) setImmediate(turn);
}

/** At least one step is done in each slice. */
function runSlice<T>(work: Sliced<T>): IteratorResult<undefined, T> {
  if (until === 0) begin();
  for (;;) {
    const step = work.next();
    if (step.done === true || isOver()) return step;
  }
}

function begin(): void {
  until = performance.now() + SLICE;
  // What comes in the same turn shares what is left of the slice.
  setImmediate(() => {
    if (waiting.length === 0) until = 0;
  });
}

function isOver(): boolean {
  return until !== 0 && performance.now() > until;
}
