import type { Mutant } from "./mutant.ts";

const RECENT = "packages/hub/src/log/recent-events.ts";
const POSITION = "packages/hub/src/log/last-event-id.ts";

/** Faults in what logs have in common, in the memory log, and in what is asked of them. */
export const LOG: readonly Mutant[] = [
  {
    name: "204 for a client that has not had the end",
    file: "packages/hub/src/subscribe/opening.ts",
    find: "return ends.every((end) => end > 0 && end <= cursor);",
    replace: "return ends.every((end) => end > 0);",
    log: "memory",
  },
  {
    name: "204 for a client that missed events",
    file: "packages/hub/src/subscribe/opening.ts",
    find: `if (resume !== "resumed" || gap !== null || patterns.length > 0) return false;`,
    replace: "if (patterns.length > 0) return false;",
    log: "memory",
  },
  {
    name: "a late client of an ended topic is not told of its end",
    file: "packages/hub/src/subscribe/resume.ts",
    find: "if (end > after && end <= upTo) text += endEvent(id, topic);",
    replace: "if (end > after && end < upTo) text += endEvent(id, topic);",
    log: "memory",
  },
  {
    name: "the epoch of an id is ignored",
    file: POSITION,
    find: `if (id.epoch === epoch) return { resume: "resumed"`,
    replace: `if (id.cursor <= last) return { resume: "resumed"`,
    log: "memory",
  },
  {
    name: "an id that nobody has given is resumed from",
    file: POSITION,
    find: "if (id === null || (id.epoch === epoch && id.cursor > last)) return UNKNOWN;",
    replace: "if (id === null) return UNKNOWN;",
    log: "memory",
  },
  {
    name: "a client is not told that events were evicted",
    file: POSITION,
    find: `const isEvicted = resume === "resumed" && from > cursor!;`,
    replace: `const isEvicted = resume === "resumed" && from > cursor! + 1;`,
    log: "memory",
  },
  {
    name: "one event too many is evicted",
    file: RECENT,
    find: "(this.events > maxEvents ||",
    replace: "(this.events >= maxEvents ||",
    log: "memory",
  },
  {
    name: "an end is forgotten with its event",
    file: RECENT,
    find: "if (entry.end) this.learnEnd(entry.topic, entry.seq, time);",
    replace: "",
    log: "memory",
  },
  {
    name: "a topic that has begun anew counts as ended again when it is evicted",
    file: RECENT,
    find: "      this.#ended.delete(entry.topic);\n      this.#indexes.set",
    replace: "      this.#indexes.set",
    log: "memory",
  },
  {
    name: "what was evicted of a topic is forgotten when it has events again",
    file: RECENT,
    find: "index = new TopicIndex(this.#evictedOf(entry.topic));",
    replace: "index = new TopicIndex(0);",
    log: "memory",
  },
  {
    name: "with patterns, nothing is taken for evicted",
    file: RECENT,
    find: "if (selectors.patterns.length > 0) return this.#first - 1;",
    replace: "if (selectors.patterns.length > 0) return after;",
    log: "memory",
  },
  {
    name: "the last event of a page is left out of the next",
    file: RECENT,
    find: "else if (!page.take(entry, seq, entry.bytes)) return page.end;",
    replace: "else if (!page.take(entry, seq, entry.bytes)) return seq;",
    log: "memory",
  },
  {
    name: "replay counts one event too few",
    file: RECENT,
    find: "return this.#at(low).seq - 1;",
    replace: "return this.#at(low).seq;",
    log: "memory",
  },
  {
    name: "a search among the events that is left off for the next turn is not gone on with",
    file: "packages/hub/src/log/time-sliced-queue.ts",
    find: "if (!goOn()) this.#waiting.push(goOn);",
    replace: "goOn();",
    log: "memory",
  },
  {
    name: "an id is published twice in one batch",
    file: "packages/hub/src/log/numbering.ts",
    find: "this.#fresh.set(idempotencyName(topic, idempotencyKey), formatEventId(this.#epoch, this.#last + 1));",
    replace: "",
    log: "memory",
  },
  {
    name: "a superseded event is given, and its successor left out",
    file: "packages/hub/src/log/topic-index.ts",
    find: "return seq === this.newest(key);",
    replace: "return seq !== this.newest(key);",
    log: "memory",
  },
];

/** Faults on the way from a publisher to the log. */
export const PUBLISH: readonly Mutant[] = [
  {
    name: "what the log has refused is acknowledged",
    file: "packages/hub/src/publish/group-commit.ts",
    find: "for (const { reject } of publications) reject(error);",
    replace:
      'for (const { reject, acknowledge, events } of publications) if (error.code === "closed") reject(error); else acknowledge(events.map((_, at) => `${log.bounds().epoch}-${log.bounds().last + 1 + at}` as EventId), 0);',
    log: "memory",
  },
  {
    name: "publishers of one turn are given each other's ids",
    file: "packages/hub/src/publish/group-commit.ts",
    find: "place += publication.events.length;",
    replace: "place += 1;",
    log: "memory",
  },
  {
    name: "the number of published events counts repeats",
    file: "packages/hub/src/publish/group-commit.ts",
    find: "hasKeys ? this.#countNew(ids, last) : ids.length",
    replace: "ids.length",
    log: "memory",
  },
  {
    name: "an observer that throws leaves publishers unanswered",
    file: "packages/hub/src/options.ts",
    find: "committed: guarded((duration: number) => observer.committed(duration), onError),",
    replace: "committed: (duration: number) => observer.committed(duration),",
    log: "memory",
  },
  {
    name: "a message that ends its topic shifts the ids of those after it",
    file: "packages/hub/src/publish/batch.ts",
    find: "return ids.length === places.length ? ids.slice() : places.map((place) => ids[place]!);",
    replace: "return ids.slice(0, places.length);",
    log: "memory",
  },
];

/** Faults of the decoder. */
export const DECODE: readonly Mutant[] = [
  {
    name: "a long line is misread when its beginning comes in a piece of its own",
    file: "packages/protocol/src/bytes.ts",
    find: "if (this.#held === CAPACITY) this.#becomeText();",
    replace: "if (this.#held > 0 && this.#held + end - from > CAPACITY) this.#becomeText();",
    log: "memory",
  },
  {
    name: "a name that is cut is dropped with its line",
    file: "packages/protocol/src/decode.ts",
    find: "for (let at = 1; at < length && at <= name.length; at++) {",
    replace: "for (let at = 1; at <= name.length; at++) {",
    log: "memory",
  },
  {
    name: "an id that belongs to an unfinished event outlives it",
    file: "packages/protocol/src/decode.ts",
    find: "    get lastEventId() {\n      return lastEventId;",
    replace: "    get lastEventId() {\n      return id;",
    log: "memory",
  },
];
