import { events } from "./events.ts";
import type { FeedEntry } from "./feed.ts";
import { fields } from "./fields.ts";

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
    const { completion: reported } = fields(event.data);
    if (typeof reported === "number") completion = Math.max(0, Math.min(100, reported));
  }
  return { completion, done: false };
}
