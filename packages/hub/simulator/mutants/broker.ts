import type { Mutant } from "./mutant.ts";

const POSITIONS = "packages/hub/src/log/broker/positions.ts";
const FOLLOWER = "packages/hub/src/log/broker/follower.ts";
const EPOCHS = "packages/hub/src/log/broker/epochs.ts";

/** Faults of the log that nodes share. */
export const BROKER: readonly Mutant[] = [
  {
    name: "that the broker has lost the end of the log goes unseen",
    file: FOLLOWER,
    find: "const isLost = this.#isLost || state.last < newest || isOther;",
    replace: "const isLost = false;",
    log: "broker",
  },
  {
    name: "a node forgets what it has acknowledged until it has read it",
    file: FOLLOWER,
    find: "if (epoch === this.#state.epoch && isNew)",
    replace: "if (isNew && cursor < 0)",
    log: "broker",
  },
  {
    name: "204 though the broker has an event with which the topic begins anew",
    file: POSITIONS,
    find: "const ahead = haveAllEnded(position) ? await this.#newest(session, position.epoch) : floor;",
    replace: "const ahead = floor;",
    log: "broker",
  },
  {
    name: "what follows in the log is not held against what came before",
    file: FOLLOWER,
    find: "if (isOther || (this.#mark !== null && (first!.follows ?? this.#mark) !== this.#mark))",
    replace: "if (isOther)",
    log: "broker",
  },
  {
    name: "an epoch comes back with an old copy of the log",
    file: FOLLOWER,
    find: "if (state.epoch === epoch ? isLost : epochs.hasLeft(state.epoch)) {",
    replace: "if (state.epoch === epoch && isLost) {",
    log: "broker",
  },
  {
    name: "a wiped broker lives on under its old epoch",
    file: EPOCHS,
    find: "await session.create(this.create(former), former);",
    replace: `await session.create(former === "" ? this.create(former) : former, former);`,
    log: "broker",
  },
  {
    name: "a hole before what a node reads is not told",
    file: FOLLOWER,
    find: "    this.#arrived();\n    this.tail.skip();",
    replace: "    this.#arrived();",
    log: "broker",
  },
  {
    name: "a node that has found a new epoch does not tell its streams",
    file: FOLLOWER,
    find: "    for (const { resolve } of this.#arrivals) resolve();\n    this.tail.reset();",
    replace: "    for (const { resolve } of this.#arrivals) resolve();",
    log: "broker",
  },
  {
    name: "an id from ahead is called unknown",
    file: POSITIONS,
    find: "if ((await this.#newest(session, epoch)) >= cursor) await this.#arrival(cursor, deadline);",
    replace: "",
    log: "broker",
  },
  {
    name: "what the broker says of later events counts",
    file: POSITIONS,
    find: "{ from: Math.min(floor, upTo), replayed, ends }",
    replace: "{ from: Math.max(floor, upTo), replayed, ends }",
    log: "broker",
  },
  {
    name: "what a new epoch inherits counts as its own",
    file: FOLLOWER,
    find: "return { epoch, inherited, first, last,",
    replace: "return { epoch, inherited: 0, first, last,",
    log: "broker",
  },
  {
    name: "ends that memory knows nothing of are taken for none",
    file: POSITIONS,
    find: "const ends = known.map((end, at) => end ?? (found.ends[at]! > upTo ? 0 : found.ends[at]!));",
    replace: "const ends = known.map((end) => end ?? 0);",
    log: "broker",
  },
];
