import type { MaybePromise } from "@sse/hub";

/** How long work may hold the event loop before everything else has its turn, in milliseconds. */
const SLICE = 10;

/**
 * Work that can be left off wherever it yields: so many bytes of text, or one event. An event of 1 MiB is the longest step
 * there is between two of them.
 */
export type Sliced<T> = Generator<undefined, T, undefined>;

/** Does the work, in slices. What is done within the first costs no promise, and throws at once. */
export function inSlices<T>(work: Sliced<T>): MaybePromise<T> {
  const slice = runSlice(work);
  return slice.done === true ? slice.value : goOn(work);
}

async function goOn<T>(work: Sliced<T>): Promise<T> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    const slice = runSlice(work);
    if (slice.done === true) return slice.value;
  }
}

function runSlice<T>(work: Sliced<T>): IteratorResult<undefined, T> {
  const until = performance.now() + SLICE;
  for (;;) {
    const step = work.next();
    if (step.done === true || performance.now() > until) return step;
  }
}
