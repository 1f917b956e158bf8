import { events } from "./events.ts";
import type { FeedEntry } from "./feed.ts";

/** What the job's entries say so far. */
interface JobProgress {
  /** Percent, 0 to 100. */
  readonly completion: number;
  readonly done: boolean;
}

/** Reads a job's progress off its events; a line that is not JSON leaves it where it was. */
export function jobProgress(entries: readonly FeedEntry[]): JobProgress {
  let completion = 0;
  for (const event of events(entries)) {
    if (event.type === "status" && event.data === "Done") return { completion: 100, done: true };
    if (event.type !== "progress") continue;
    try {
      const { completion: reported } = JSON.parse(event.data) as { completion?: unknown };
      if (typeof reported === "number") completion = Math.max(0, Math.min(100, reported));
    } catch {
      // Kept: the log shows the line as it came.
    }
  }
  return { completion, done: false };
}
