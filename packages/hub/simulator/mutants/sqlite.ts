import type { Mutant } from "./mutant.ts";

const LOG = "packages/hub/src/log/sqlite/sqlite-log.ts";
const STORE = "packages/hub/src/log/sqlite/store.ts";
const READER = "packages/hub/src/log/sqlite/reader.ts";
const FILE = "packages/hub/src/log/sqlite/file.ts";
const EPOCHS = "packages/hub/src/log/sqlite/epochs.ts";

/** Faults of the log in a file. */
export const SQLITE: readonly Mutant[] = [
  {
    name: "an append is acknowledged before its commit",
    file: FILE,
    find: "    this.#begin.run();\n    try {\n      change();\n      this.#finish();",
    replace:
      '    if (!this.#database.isTransaction) this.#begin.run();\n    try {\n      change();\n      if ((this.ask("SELECT last FROM log") as number) % 3 !== 1) this.#finish();',
    log: "sqlite",
  },
  {
    name: "a part of an append is read from the file before the rest is there",
    file: LOG,
    find: "      this.#reads.hold();\n",
    replace: "",
    log: "sqlite",
  },
  {
    name: "an append overtakes one that takes several turns",
    file: LOG,
    find: "if (this.#appends.isBusy || this.#appends.isLong(batch.length))",
    replace: "if (this.#appends.isLong(batch.length))",
    log: "sqlite",
  },
  {
    name: "an append that fails after some turns leaves in the file what it has written",
    file: FILE,
    find: "      if (!isDone) this.#undo();",
    replace: "      if (!isDone) this.#finish();",
    log: "sqlite",
  },
  {
    name: "ids of an epoch that the file has yet to learn of",
    file: EPOCHS,
    find: "return this.#names.at(-1) ?? this.#own;",
    replace: "return this.#own;",
    log: "sqlite",
  },
  {
    name: "every id of an earlier epoch is taken for one that means nothing",
    file: EPOCHS,
    find: "return place === -1 ? undefined : this.#begun[place + 1];",
    replace: "return undefined;",
    log: "sqlite",
  },
  {
    name: "an id of events that the file has lost is resumed from",
    file: EPOCHS,
    find: "return place === -1 ? undefined : this.#begun[place + 1];",
    replace: "return place === -1 ? undefined : Infinity;",
    log: "sqlite",
  },
  {
    name: "the bounds of the log are read before the rest",
    file: READER,
    find: "    const { ids, bounds, lastSeen, start, ends } = await this.#withTopics(selectors, (found) => {\n      const seen = view();",
    replace:
      "    const seen = view();\n    const { ids, bounds, lastSeen, start, ends } = await this.#withTopics(selectors, (found) => {",
    log: "sqlite",
  },
  {
    name: "a repeat of what is kept clears the fault of a full disk",
    file: LOG,
    find: "    if (entries.length === 0) return ids;",
    replace: "    if (entries.length === 0) {\n      this.#setFault(null);\n      return ids;\n    }",
    log: "sqlite",
  },
  {
    name: "a write that fails has changed what the log holds",
    file: STORE,
    find: "    } catch (error) {\n      this.topics.rollBack();\n      throw error;\n    }\n    this.#state = state;",
    replace:
      "    } catch (error) {\n      this.topics.rollBack();\n      this.#state = state;\n      throw error;\n    }\n    this.#state = state;",
    log: "sqlite",
  },
  {
    name: "an event past its age answers a repeat after a restart",
    file: LOG,
    find: "return seq === undefined || this.#store.isDue(seq, now) ? undefined : epochs.id(seq);",
    replace: "return seq === undefined ? undefined : epochs.id(seq);",
    log: "sqlite",
  },
  {
    name: "of an evicted topic the last event but one is remembered",
    file: READER,
    find: "this.#store.topics.evicted(topic) ?? forgotten",
    replace: "(this.#store.topics.evicted(topic) ?? forgotten) - 1",
    log: "sqlite",
  },
  {
    name: "the time of day goes back when memory has no room for the newest event",
    file: LOG,
    find: "newest = Math.max(newest, each.time);",
    replace: "if (sizeOf(each.entry) <= maxBytes) newest = Math.max(newest, each.time);",
    log: "sqlite",
  },
  {
    name: "what was published as JSON is read from the file as text",
    file: STORE,
    find: "json: json === 1",
    replace: "json: false",
    log: "sqlite",
  },
];
