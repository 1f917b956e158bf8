import type { RedisClient } from "bun";
import type { Cursor } from "../event-id.ts";
import type { NewEvent } from "../new-event.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import {
  type BrokerPage,
  type BrokerPosition,
  type BrokerQuestion,
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  type BrokerRecord,
  EpochMismatch,
  RECENT,
} from "../broker/broker.ts";
import { Semaphore } from "../broker/semaphore.ts";
import type { Limits } from "../retention.ts";
import { commonPrefix } from "./common-prefix.ts";
import { explained } from "./refusal.ts";
import { type Script, APPEND, COUNT, CREATE, EVICT, INDEX, PAGE, POSITION, RENEW, STATE } from "./scripts.ts";

/** One connection that waits for what is new, and one for everything else, which is not to wait behind it. */
export class RedisSession implements BrokerSession {
  readonly #waiting: RedisClient;
  readonly #asking: RedisClient;
  readonly #key: string;
  readonly #bounds: readonly string[];
  readonly #onRuins: (...ruins: RuinsReply) => void;
  readonly #reads = new Semaphore(READS);
  #isEvicting = false;
  #tailCount = TAIL_EVENTS / 16;

  constructor(
    waiting: RedisClient,
    asking: RedisClient,
    key: string,
    limits: Limits,
    onRuins: (...ruins: RuinsReply) => void,
  ) {
    this.#waiting = waiting;
    this.#asking = asking;
    this.#key = key;
    this.#bounds = [limits.maxEvents, limits.maxBytes, limits.maxAge].map((bound) =>
      String(Math.min(Math.floor(bound), Number.MAX_SAFE_INTEGER)),
    );
    this.#onRuins = onRuins;
  }

  async state(seen: Cursor): Promise<BrokerState | null> {
    const reply = (await this.#run(STATE, [String(seen), ...this.#bounds])) as StateReply | RuinsReply | null;
    if (reply === null) return null;
    if (reply.length === 2) {
      this.#onRuins(...reply);
      return null;
    }
    const [epoch, first, last, bytes, inherited, mark, refused] = reply;
    const recent = Math.max(first - 1, last - RECENT);
    const refusal = refused === null ? null : explained(refused);
    return { epoch, first, last, events: last - first + 1, bytes, recent, inherited, mark, refusal };
  }

  async create(epoch: string, former: string): Promise<void> {
    await this.#run(CREATE, [epoch, former]);
  }

  async renew(epoch: string, fresh: string): Promise<void> {
    await this.#run(RENEW, [epoch, fresh]);
  }

  async next(
    epoch: string,
    after: Cursor,
    wait: number,
  ): Promise<{ from: Cursor; kept: readonly BrokerRecord[] }> {
    const key = `${this.#key}:${epoch}:log`;
    const count = ["COUNT", String(this.#tailCount), "BLOCK", String(wait)];
    const reply = (await this.#waiting.send("XREAD", [...count, "STREAMS", key, `${after}-0`])) as Record<
      string,
      [id: string, fields: string[]][]
    > | null;
    const entries = reply?.[key] ?? [];
    if (entries.length === 0) return { from: after, kept: [] };
    let bytes = 0;
    const first = Number.parseInt(entries[0]![0], 10);
    const kept = entries.map(([id, [n, names, v, value, t, taken]], at) => {
      if (id !== `${first + at}-0` || n !== "n" || v !== "v" || t !== "t")
        throw new EpochMismatch(`another client has added ${id} to ${key}`);
      bytes += value!.length;
      return recordOf(first + at, names!, value!, taken!);
    });
    // An event can be a megabyte: a thousand of them are not to be here at once.
    this.#tailCount = Math.max(1, Math.min(TAIL_EVENTS, Math.floor((TAIL_BYTES * entries.length) / bytes)));
    return { from: first - 1, kept };
  }

  async append(epoch: string, seen: Cursor, batch: readonly NewEvent[]): Promise<readonly Cursor[]> {
    const [mostEvents, mostBytes] = this.#bounds as [string, string];
    const args = [epoch, String(seen), mostEvents, mostBytes];
    for (const { topic, key, idempotencyKey, end, type, data } of batch) {
      args.push(`${topic}\0${key}\0${idempotencyKey}`, `${end ? 1 : 0}${type}\n${data}`);
    }
    // With the whole script: one that Redis had to be told again would be overtaken by the appends behind it.
    const evaluate = () => this.#asking.send("EVAL", [APPEND.text, "1", this.#key, ...args]);
    const [isOver, numbers] = ofEpoch(await checked(evaluate)) as [isOver: number, numbers: Cursor[]];
    if (isOver === 1) void this.#evict(epoch);
    return numbers;
  }

  /** One at a time, and nobody waits for it. What fails here is tried again with the next append, and with the next check. */
  async #evict(epoch: string): Promise<void> {
    if (this.#isEvicting) return;
    this.#isEvicting = true;
    await this.#run(EVICT, [epoch, ...this.#bounds]).catch(() => {});
    this.#isEvicting = false;
  }

  async page(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    { bytes, upTo }: { bytes: number; upTo: Cursor },
  ): Promise<BrokerPage> {
    const byTopic = selectors.patterns.length === 0;
    const [from, cursor, found] = (await this.#read(PAGE, [
      epoch,
      ...[after, upTo, Math.min(bytes, Number.MAX_SAFE_INTEGER), LOOKS].map(String),
      byTopic ? "" : commonPrefix(selectors),
      ...(byTopic ? selectors.topics : []),
    ])) as [Cursor, Cursor, [seq: Cursor, names: string, value: string, taken: string, newest: number][]];
    const outdated = new Set(found.filter(([, , , , newest]) => newest === 0).map(([seq]) => seq));
    const kept = found.map(([seq, names, value, taken]) => recordOf(seq, names, value, taken));
    const selected = byTopic ? kept : kept.filter(({ event }) => selectors.matches(event.topic));
    return { from, cursor, kept: selected, outdated };
  }

  /**
   * `from` and the ends come from one script. Patterns need more: some before it that find the cursor before the last N events,
   * and some after it that count. That can't leave a hole. Events that are appended in between come after `upTo` and are not
   * considered. Events that are evicted in between only make the cursor too early, or stand before it; the one script then
   * begins at what is left, and everything after `from` is read. Nothing but the number in `replayed` depends on the count.
   */
  async position(epoch: string, question: BrokerQuestion): Promise<BrokerPosition> {
    const { selectors, after, last, upTo, counted } = question;
    const { topics, patterns } = selectors;
    const begin = after ?? (await this.#beforeLast(epoch, question)) ?? "";
    const flags = [counted, patterns.length > 0].map((flag) => (flag ? 1 : 0));
    const args = [epoch, begin, last, upTo, ...flags, ...topics].map(String);
    const [from, replayed, ends] = (await this.#read(POSITION, args)) as [Cursor, number, Cursor[]];
    if (!counted || patterns.length === 0) return { from, replayed, ends };
    return { from, replayed: await this.#count(epoch, from, selectors, upTo), ends };
  }

  /** The cursor before the last events; 0 when there are fewer, null when the script that is asked next is to find it. */
  async #beforeLast(epoch: string, { selectors, last, upTo }: BrokerQuestion): Promise<Cursor | null> {
    if (last === 0) return upTo;
    if (last === Infinity) return 0;
    if (selectors.selectsAll) return Math.max(0, upTo - last);
    if (selectors.patterns.length === 0) return null;
    const numbers: Cursor[] = [];
    await this.#walk(epoch, selectors, (seq) => {
      if (seq <= upTo) numbers.push(seq);
    });
    const nth = Float64Array.from(numbers).toSorted().at(-last);
    return nth === undefined ? 0 : nth - 1;
  }

  async #count(epoch: string, from: Cursor, selectors: SelectorSet, upTo: Cursor): Promise<number> {
    if (selectors.selectsAll) return Math.max(0, upTo - from);
    let events = 0;
    let place = "";
    do {
      const args = [epoch, String(from), String(upTo), place, commonPrefix(selectors)];
      const [next, counts] = (await this.#read(COUNT, args)) as [place: string, (Topic | number)[]];
      for (let at = 0; at < counts.length; at += 2)
        if (selectors.matches(counts[at] as Topic)) events += counts[at + 1] as number;
      place = next;
    } while (place !== "");
    return events;
  }

  /** Visits the number of every event that a set with patterns selects, by topics and not in their order. */
  async #walk(epoch: string, selectors: SelectorSet, visit: (seq: Cursor) => void): Promise<void> {
    const prefix = commonPrefix(selectors);
    let topic = "";
    let selected = false;
    for (let after = ""; ;) {
      const members = (await this.#read(INDEX, [epoch, after, prefix])) as string[];
      for (const member of members) {
        const split = member.length - NUMBER_LENGTH;
        const name = member.slice(0, split - 1);
        if (name !== topic) {
          topic = name;
          selected = selectors.matches(name as Topic);
        }
        if (selected) visit(Number(member.slice(split)));
      }
      if (members.length === 0) return;
      after = members.at(-1)!;
    }
  }

  async #read(script: Script, args: readonly string[]): Promise<unknown> {
    return ofEpoch(await this.#reads.pass(1, () => this.#run(script, args)));
  }

  #run({ text, sha }: Script, args: readonly string[]): Promise<unknown> {
    return checked(async () => {
      try {
        return await this.#asking.send("EVALSHA", [sha, "1", this.#key, ...args]);
      } catch (error) {
        if (!String(error).includes("NOSCRIPT")) throw error;
        return await this.#asking.send("EVAL", [text, "1", this.#key, ...args]);
      }
    });
  }

  close(): void {
    this.#waiting.close();
    this.#asking.close();
  }
}

/** The epoch of a ruined log, and the key that was deleted or changed. */
export type RuinsReply = readonly [epoch: string, key: string];

/** What Redis answers; what it has against the question. */
async function checked(evaluate: () => Promise<unknown>): Promise<unknown> {
  try {
    return await evaluate();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    // A failover has left us with a replica: the next connection finds the primary.
    if (message.startsWith("READONLY")) throw new EpochMismatch(message);
    // A reply, and not one that says "later": the script has done nothing.
    if (code === "ERR_REDIS_SERVER_ERROR" && !/^(LOADING|BUSY|TRYAGAIN|MASTERDOWN)/.test(message))
      throw new BrokerRefusal(explained(message));
    throw error;
  }
}

function ofEpoch(reply: unknown): unknown {
  if (reply === null) throw new EpochMismatch("the log in Redis is in another epoch");
  return reply;
}

/** @param taken when it was, and when the event before it was, if that was not together with it */
function recordOf(seq: Cursor, names: string, value: string, taken: string): BrokerRecord {
  const [topic, key] = names.split("\0", 2) as [string, string];
  const idempotencyKey = names.slice(topic.length + key.length + 2);
  const line = value.indexOf("\n");
  const event: NewEvent = {
    topic: topic as Topic,
    key,
    idempotencyKey,
    end: value.startsWith("1"),
    type: value.slice(1, line),
    data: value.slice(line + 1),
  };
  const [mark, follows = mark] = taken.split(" ") as [string, string?];
  return { seq, time: Number(mark) / 1000, mark, follows, event };
}

/** The most bytes that the tail asks for at once, if events are as large as the last ones were. */
const TAIL_BYTES = 4 * 1024 * 1024;
const TAIL_EVENTS = 1024;
/** How many events one read looks at: Redis does nothing else meanwhile. */
const LOOKS = 512;
/** How many reads stand in line in Redis: what is published, and the tail, wait behind these at most. */
const READS = 2;
/** Digits of a number in the index. */
const NUMBER_LENGTH = 16;

type StateReply = readonly [
  ...[epoch: string, first: number, last: number, bytes: number, inherited: number],
  ...[mark: string | null, refused: string | null],
];
