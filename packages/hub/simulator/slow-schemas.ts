import type { TopicSchemas } from "../src/index.ts";
import type { Owner, Scheduler } from "./scheduler.ts";

/** Lets everything pass, some of it later: an event that waits for its schema is overtaken by others. */
export function slowSchemas(scheduler: Scheduler, owner: Owner): TopicSchemas {
  return {
    "**": {
      "~standard": {
        version: 1,
        vendor: "simulator",
        validate: (value: unknown) =>
          String(value).charCodeAt(0) % 2 === 0
            ? { value }
            : new Promise((resolve) => scheduler.post("schema", owner, () => resolve({ value }))),
      },
    },
  };
}
