import { inTask } from "./microtasks.ts";
import type { Outcome } from "./run.ts";

let rejected: { readonly error: unknown } | null = null;
let isWatching = false;

/** Runs it, and takes a rejection that nobody handles for what it is: an error that would end the process. */
export async function watched(run: () => Outcome): Promise<Outcome> {
  if (!isWatching) {
    process.on("unhandledRejection", (error) => {
      rejected ??= { error };
    });
    isWatching = true;
  }
  rejected = null;
  const outcome = await inTask(run);
  await new Promise((resolve) => setImmediate(resolve));
  if (rejected === null || outcome.violation !== null) return outcome;
  const { error } = rejected as { readonly error: unknown };
  const message = `a rejection that nobody handles: ${error instanceof Error ? error.stack : JSON.stringify(error)}`;
  return { ...outcome, violation: { check: "crash", message } };
}
