import type { EventLog, StoredEvent } from "../src/index.ts";
import type { Accepted, Chronicle } from "./oracle/chronicle.ts";
import type { Registry } from "./oracle/registry.ts";

/** What an event counts besides its text: `ENTRY_BYTES` as documented, and not as imported. */
const EXTRA = 256;

/** Follows a log of this process into the chronicle. It listens before the hub does, so the chronicle always knows more. */
export function followTail(
  log: EventLog,
  registry: Registry,
  chronicle: Chronicle,
  model: { before(): void; time(): number; each(event: Accepted): void; after(): void },
): void {
  log.tail({
    append: (entries) => {
      model.before();
      const time = model.time();
      for (const entry of entries) {
        const { seq, topic, key, idempotencyKey, end, bytes } = entry;
        const size = bytes + topic.length + key.length + idempotencyKey.length + EXTRA;
        registry.taken({ seq, topic, key, idempotencyKey, end, text: textOf(entry), size, time });
        model.each(chronicle.current!.own.at(-1)!);
      }
      model.after();
    },
    reset: () => {},
    skip: () => {},
  });
}

const DATA = /^data: (?:\[")?([0-9]+ )/m;

function textOf({ wire, end }: StoredEvent): string {
  return end ? "" : (DATA.exec(wire)?.[1] ?? wire);
}
