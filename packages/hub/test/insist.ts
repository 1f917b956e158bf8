import { HubError } from "../src/index.ts";

/** Publishes until it is acknowledged, as clients do that are answered 503. A minute is for a machine that is busy. */
export async function insist<T>(publish: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + 60_000; ;) {
    try {
      return await publish();
    } catch (error) {
      const isTemporary = error instanceof HubError && error.code.startsWith("log-");
      if (!isTemporary || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
