import process from "node:process";

/**
 * Lets promises have their turn, all of it, before it returns. In Node and Deno that cannot be within a promise's turn: there a
 * run is begun by a task of the event loop, see {@link inTask}.
 */
export const drainMicrotasks: () => void = await find();

async function find(): Promise<() => void> {
  if (process.versions["bun"] !== undefined) {
    const jsc = await import("bun:jsc");
    return () => jsc.drainMicrotasks();
  }
  const { Deno: deno } = globalThis as { Deno?: { internal: symbol } };
  if (deno === undefined) {
    const { _tickCallback: drain } = process as unknown as { _tickCallback: () => void };
    return drain;
  }
  const { core } = (deno as unknown as Record<symbol, { core: { runMicrotasks(): void } }>)[deno.internal]!;
  return () => core.runMicrotasks();
}

/** Runs it as a task of the event loop. */
export function inTask<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
  });
}
