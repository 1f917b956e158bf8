import type { Cursor } from "../event-id.ts";
import type { NewEvent } from "../new-event.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import {
  type BrokerAppend,
  type BrokerPage,
  type BrokerPosition,
  type BrokerQuestion,
  type BrokerSession,
  type BrokerState,
  type BrokerRecord,
  EpochMismatch,
  RECENT,
} from "../broker/broker.ts";
import { Semaphore } from "../broker/semaphore.ts";
import type { Limits } from "../retention.ts";
import { commonPrefix } from "./common-prefix.ts";
import type { RedisConnections, Send } from "./connection.ts";
import { explained, refusalOf } from "./fault.ts";
import { recordOf, textsOf } from "./record.ts";
import {
  type Script,
  APPEND,
  COUNT,
  CREATE,
  EVICT,
  INDEX,
  keysOf,
  PAGE,
  POSITION,
  RENEW,
  STATE,
} from "./scripts.ts";

/** How many of the replicas have to have an event before it is acknowledged, and for how many milliseconds that is awaited. */
export interface Replication {
  readonly replicas: number;
  readonly within: number;
}

/** Connections to one server: what waits on one of them does not hold up the others. */
export class RedisSession implements BrokerSession {
  /** Waits for what is new. */
  readonly #wait: Send;
  readonly #ask: Send;
  /** Waits for replicas, if that is wanted. */
  readonly #append: Send;
  readonly close: () => void;
  readonly #replication: Replication;
  /** The key with the state. */
  readonly #meta: string;
  /** The epoch that the log was last found in, also when it was found ruined; "" before that. */
  #epoch = "";
  readonly #bounds: readonly string[];
  readonly #onRuins: (...ruins: RuinsReply) => void;
  readonly #reads = new Semaphore(READS);
  #isEvicting = false;
  /** An append has left something to evict. */
  #isOver = false;
  #tailCount = TAIL_EVENTS / 16;

  constructor(
    { connections, close }: RedisConnections,
    meta: string,
    limits: Limits,
    replication: Replication,
    onRuins: (...ruins: RuinsReply) => void,
  ) {
    const [wait, ask, append = ask] = connections;
    this.#wait = wait!;
    this.#ask = ask!;
    this.#append = append!;
    this.close = close;
    this.#meta = meta;
    this.#replication = replication;
    this.#bounds = [limits.maxEvents, limits.maxBytes, limits.maxAge].map((bound) =>
      String(Math.min(Math.floor(bound), Number.MAX_SAFE_INTEGER)),
    );
    this.#onRuins = onRuins;
  }

  async state(seen: Cursor): Promise<BrokerState | null> {
    for (;;) {
      const args = [String(seen), ...this.#bounds];
      const reply = (await this.#run(STATE, this.#epoch, args)) as StateReply | RuinsReply | [string] | null;
      if (reply === null) return null;
      const isKnown = reply[0] === this.#epoch;
      this.#epoch = reply[0];
      if (!isKnown) continue; // the keys were of another epoch
      if (reply.length !== 7) {
        this.#onRuins(...(reply as RuinsReply));
        return null;
      }
      const [epoch, first, last, bytes, inherited, mark, refused] = reply;
      const recent = Math.max(first - 1, last - RECENT);
      const refusal = refused === null ? null : explained(refused);
      return { epoch, first, last, events: last - first + 1, bytes, recent, inherited, mark, refusal };
    }
  }

  async create(epoch: string, former: string): Promise<void> {
    await this.#run(CREATE, this.#epoch, [epoch], keysOf(this.#meta, former));
  }

  async renew(epoch: string, fresh: string): Promise<void> {
    await this.#run(RENEW, epoch, [fresh], keysOf(this.#meta, fresh));
  }

  async next(
    epoch: string,
    after: Cursor,
    wait: number,
  ): Promise<{ from: Cursor; kept: readonly BrokerRecord[] }> {
    const [key] = keysOf(this.#meta, epoch);
    const count = ["COUNT", String(this.#tailCount), "BLOCK", String(wait)];
    const args = [...count, "STREAMS", key!, `${after}-0`];
    const reply = (await checked(() => this.#wait("XREAD", args))) as XReadReply | null;
    const entries = reply?.[0]![1] ?? [];
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

  async append(epoch: string, seen: Cursor, batch: readonly NewEvent[]): Promise<BrokerAppend> {
    const [mostEvents, mostBytes] = this.#bounds as [string, string];
    const keys = keysOf(this.#meta, epoch);
    const args = [APPEND.text, String(keys.length + 1), this.#meta, ...keys];
    args.push(epoch, String(seen), mostEvents, mostBytes);
    for (const event of batch) args.push(...textsOf(event));
    // With the whole script: one that Redis had to be told again would be overtaken by the appends behind it.
    const append = checked(() => this.#append("EVAL", args));
    const [reply] = await Promise.all([append, this.#replicated()]);
    const [isOver, cursors, mark] = ofEpoch(reply) as [number, Cursor[], string | null];
    if (isOver === 1) void this.#evict(epoch);
    return { cursors, mark };
  }

  /** Redis answers this when so many replicas have everything that was sent before it on the same connection. */
  async #replicated(): Promise<void> {
    const { replicas, within } = this.#replication;
    if (replicas === 0) return;
    const reached = (await this.#append("WAIT", [String(replicas), String(within)])) as number;
    if (reached < replicas) throw new Error(`${reached} of ${replicas} replicas have it after ${within} ms`);
  }

  /** One at a time, and nobody waits for it. What fails here is tried again with the next append, and with the next check. */
  async #evict(epoch: string): Promise<void> {
    this.#isOver = true;
    if (this.#isEvicting) return;
    this.#isEvicting = true;
    // Appends that are answered meanwhile may have left more than one call evicts.
    while (this.#isOver) {
      this.#isOver = false;
      await this.#run(EVICT, epoch, this.#bounds).catch(() => {});
    }
    this.#isEvicting = false;
  }

  async page(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    { bytes, upTo }: { bytes: number; upTo: Cursor },
  ): Promise<BrokerPage> {
    const byTopic = selectors.patterns.length === 0;
    const [from, cursor, found] = (await this.#read(PAGE, epoch, [
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
    const args = [begin, last, upTo, ...flags, ...topics].map(String);
    const [from, replayed, ends] = (await this.#read(POSITION, epoch, args)) as [Cursor, number, Cursor[]];
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
      const args = [String(from), String(upTo), place, commonPrefix(selectors)];
      const [next, counts] = (await this.#read(COUNT, epoch, args)) as [place: string, (Topic | number)[]];
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
      const members = (await this.#read(INDEX, epoch, [after, prefix])) as string[];
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

  async #read(script: Script, epoch: string, args: readonly string[]): Promise<unknown> {
    return ofEpoch(await this.#reads.pass(1, () => this.#run(script, epoch, args)));
  }

  /** @param more keys beside those of the epoch */
  #run(
    { text, sha }: Script,
    epoch: string,
    args: readonly string[],
    more: readonly string[] = [],
  ): Promise<unknown> {
    const keys = [this.#meta, ...keysOf(this.#meta, epoch), ...more];
    const rest = [String(keys.length), ...keys, epoch, ...args];
    return checked(async () => {
      try {
        return await this.#ask("EVALSHA", [sha, ...rest]);
      } catch (error) {
        if (!String(error).includes("NOSCRIPT")) throw error;
        return await this.#ask("EVAL", [text, ...rest]);
      }
    });
  }
}

/** The epoch of a ruined log, and the key that was deleted or changed. */
export type RuinsReply = readonly [epoch: string, key: string];

/** What Redis answers; what it has against the question. */
async function checked(evaluate: () => Promise<unknown>): Promise<unknown> {
  try {
    return await evaluate();
  } catch (error) {
    throw refusalOf(error);
  }
}

function ofEpoch(reply: unknown): unknown {
  if (reply === null) throw new EpochMismatch("the log in Redis is in another epoch");
  return reply;
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

type XReadReply = readonly [[key: string, entries: [id: string, fields: string[]][]]];

type StateReply = readonly [
  ...[epoch: string, first: number, last: number, bytes: number, inherited: number],
  ...[mark: string | null, refused: string | null],
];
