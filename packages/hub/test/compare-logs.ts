import { isDeepStrictEqual } from "node:util";
import {
  type EventId,
  type EventLog,
  MemoryLog,
  parseEventId,
  type Position,
  SelectorSet,
} from "../src/index.ts";
import { formatEventId } from "../src/log/event-id.ts";
import type { NewEvent } from "../src/log/new-event.ts";
import { newEvent } from "../src/testing/log-contract.ts";

export interface Comparison {
  /** A log that keeps so many events. What it answers an append for is shown by then. */
  readonly open: (maxEvents: number) => Promise<EventLog>;
  /** The same log, which was closed. */
  readonly reopen: (maxEvents: number) => Promise<EventLog>;
  readonly seed: number;
  readonly rounds: number;
  readonly maxEvents?: number;
  /** The most events that are published together; default 4. */
  readonly maxBatch?: number;
  /** False for a log that does not tell gaps by topic; default true. */
  readonly tellsGapsByTopic?: boolean;
  /** False for a log that recognises an id only where its event has the same key; default true. */
  readonly recognisesIdsWithAnyKey?: boolean;
}

const TOPICS = [
  ..."a|a/b|a/b/c|a//b|/|//|%|%p|a%|a.b|a>b|>|$|{x}|{sse}|:|a:b|é|e\u0301|日本/語|😀|😀/😁|[a]|(a)|^a|\\|a\\0|?".split(
    "|",
  ),
  ...`'|"|a'b|-|!|_|a_b|A|ÿ|\ufffd|~|a~|http://x/y?z=1#f|a/|/a|m|t|m/x`.split("|"),
  ..."x/.".split("").map((character) => character.repeat(1024)),
  "😀".repeat(256),
];
const PATTERNS = "**|*|a/*|a/**|*/b|*/*|/**|%/**|/*|*/|日本/*|😀/*|a//*|*//*|*/**|*/*/**|http:/*/**".split(
  "|",
);
const KEYS = ["", "", "", "k", "é", "😀", "-", "!", "%", "K".repeat(1024), "k k"];
const DATA = ["", "1", "a\nb", "é", "😀", "x".repeat(3000), "a\0b", '"', "\\", "{}", "\r", " lead"];
const TYPES = ["", "", "", "x", "é", "😀"];

/** Numbers in [0, 1) from a seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** The same appends and questions for a log and for a {@link MemoryLog}, which is simple enough to be believed. */
class TwoLogs {
  readonly #comparison: Comparison;
  readonly #maxEvents: number;
  readonly #random: () => number;
  readonly #model: MemoryLog;
  #log: EventLog;
  /** The log's numbers of the model's events. */
  readonly #numbers = new Map<number, number>([[0, 0]]);

  constructor(comparison: Comparison, log: EventLog, maxEvents: number) {
    this.#comparison = comparison;
    this.#maxEvents = maxEvents;
    this.#random = randomOf(comparison.seed);
    this.#model = new MemoryLog({ maxEvents });
    this.#log = log;
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)]!;
  }

  async run(): Promise<void> {
    for (let round = 0; round < this.#comparison.rounds; round++) {
      try {
        await this.#append();
        if (this.#random() < 0.03) await this.#reopen();
        if (round % 3 === 0) await this.#ask();
      } catch (error) {
        throw new Error(`seed ${this.#comparison.seed}, round ${round}`, { cause: error });
      }
    }
  }

  close(): unknown {
    return this.#log.close();
  }

  async #reopen(): Promise<void> {
    await this.#log.close();
    this.#log = await this.#comparison.reopen(this.#maxEvents);
  }

  #event(): NewEvent {
    const { recognisesIdsWithAnyKey = true } = this.#comparison;
    const topic = this.#pick(TOPICS);
    const key = this.#pick(KEYS);
    const id = this.#random() < 0.5 ? `i${this.#below(30)}` : `é${this.#below(20)}😀`;
    const ofKey = recognisesIdsWithAnyKey ? id : `${id} ${key}`;
    const idempotencyKey = this.#random() < 0.5 ? "" : ofKey;
    if (this.#random() < 0.15) {
      const endKey = idempotencyKey === "" ? "" : `${idempotencyKey}\0end`;
      return newEvent(topic, "", { idempotencyKey: endKey, end: true });
    }
    const json = this.#random() < 0.5;
    const data = this.#pick(DATA);
    return newEvent(topic, json ? JSON.stringify([data]) : data, {
      idempotencyKey,
      key,
      type: this.#pick(TYPES),
      json,
    });
  }

  async #append(): Promise<void> {
    const { maxBatch = 4 } = this.#comparison;
    const batch = Array.from({ length: 1 + this.#below(maxBatch) }, () => this.#event());
    const numbersOf = (ids: readonly EventId[]) => ids.map((id) => parseEventId(id)!.cursor);
    const expected = numbersOf(this.#model.append(batch));
    const found = numbersOf(await this.#log.append(batch));
    for (const [at, number] of expected.entries()) {
      const known = this.#numbers.get(number);
      if (known === undefined) this.#numbers.set(number, found[at]!);
      else same("the answer to an append", known, found[at]);
    }
    same("what is shown", this.#numbers.get(this.#model.bounds().last), this.#log.bounds().last);
    same("how much is kept", this.#model.bounds().events, this.#log.bounds().events);
  }

  #selectors(): SelectorSet {
    const topics = () => Array.from({ length: 1 + this.#below(4) }, () => this.#pick(TOPICS));
    if (this.#random() < 0.5) return new SelectorSet(topics());
    return new SelectorSet([
      this.#pick(PATTERNS),
      ...(this.#random() < 0.4 ? [...topics(), this.#pick(PATTERNS)] : []),
    ]);
  }

  async #ask(): Promise<void> {
    const selectors = this.#selectors();
    const { first, last } = this.#model.bounds();
    const isLate = this.#random() < 0.7;
    const after = isLate ? first - 1 + this.#below(last - first + 2) : this.#below(last + 1);
    const replay = this.#pick([0, 1, 2, 5, 20, Infinity]);
    const idOf = this.#pick([
      (log: EventLog, seq: number) => formatEventId(log.bounds().epoch, seq),
      (log: EventLog, seq: number) => formatEventId(log.bounds().epoch, seq),
      () => "",
      () => "nonsense",
      () => "0000000000-7",
    ]);
    const ask = (log: EventLog, seq: number) =>
      log.position({ selectors, lastEventId: idOf(log, seq), replay, counted: true });
    const [expected, found] = [
      await ask(this.#model, after),
      await ask(this.#log, this.#numbers.get(after)!),
    ];
    const asked = `${selectors.words.map((word) => word.slice(0, 20)).join(" ")} after ${after}, replay ${replay}`;
    same(
      `where ${asked}, begins`,
      this.#seen(expected, (seq) => this.#numbers.get(seq)!),
      this.#seen(found, (seq) => seq),
    );
    const latest = this.#random() < 0.3;
    const texts = async (log: EventLog, position: Position) =>
      await this.#read(log, position, selectors, latest);
    same(`what ${asked}, is given`, await texts(this.#model, expected), await texts(this.#log, found));
  }

  /** What two positions have in common that say the same. */
  #seen({ upTo, resume, gap, replayed, ends }: Position, numberOf: (seq: number) => number): unknown {
    const { tellsGapsByTopic = true } = this.#comparison;
    const told = tellsGapsByTopic ? { resume, gap } : {};
    return { ...told, replayed, upTo: numberOf(upTo), ends: ends.map(numberOf) };
  }

  async #read(log: EventLog, position: Position, selectors: SelectorSet, latest: boolean): Promise<string[]> {
    const texts: string[] = [];
    for (let { cursor } = position; cursor < position.upTo;) {
      const limits = { bytes: this.#pick([1, 100, 2000, 1e6]), upTo: position.upTo, latest };
      const page = await log.read(cursor, selectors, limits);
      same("where a page begins", cursor, page.from);
      if (page.cursor <= cursor) throw new Error(`a page after ${cursor} ends at ${page.cursor}`);
      for (const { topic, key, idempotencyKey, json, wire } of page.entries) {
        const text = wire.replace(/^id: .*$/m, "").replace(/"id":"[^"]*"/g, "");
        texts.push([topic, key, idempotencyKey, `${json}`, text].map((each) => each.slice(0, 60)).join("|"));
      }
      cursor = page.cursor;
    }
    return texts;
  }
}

function same(what: string, expected: unknown, found: unknown): void {
  if (isDeepStrictEqual(expected, found)) return;
  throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
}

/** Compares a log with a {@link MemoryLog}. @throws Error at the first difference, with the seed */
export async function compareLogs(comparison: Comparison): Promise<void> {
  const { maxEvents = 60 } = comparison;
  const logs = new TwoLogs(comparison, await comparison.open(maxEvents), maxEvents);
  try {
    await logs.run();
  } finally {
    await logs.close();
  }
}
