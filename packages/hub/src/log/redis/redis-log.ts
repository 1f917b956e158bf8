import { RedisClient } from "bun";
import type { Cursor } from "../event-id.ts";
import type { NewEvent } from "../../publish/message.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import {
  type Broker,
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
import { type BrokerLog, type BrokerLogOptions, openBrokerLog } from "../broker/broker-log.ts";
import { explained, redisFault } from "./refusal.ts";
import { type Script, APPEND, COUNT, CREATE, INDEX, PAGE, POSITION, RENEW, STATE } from "./scripts.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { type Limits, limitsOf } from "../retention.ts";

/** How long a connection may take to be made, in milliseconds. */
const CONNECT_WITHIN = 3000;
/** The most bytes that the tail asks for at once, if events are as large as the last ones were. */
const TAIL_BYTES = 4 * 1024 * 1024;
const TAIL_EVENTS = 1024;
/** How many events one read looks at: Redis does nothing else meanwhile. */
const LOOKS = 512;
/** How many reads stand in line in Redis: what is published, and the tail, wait behind these at most. */
const READS = 2;

/** Where Redis is, and what the log holds in it. */
export interface RedisLogOptions extends BrokerLogOptions {
  /** `redis://[user:password@]host[:port][/database]`, or `rediss://` over TLS. */
  url: string;
  /** What the names of the keys begin with, so that several logs can share a Redis; default `sse`. */
  prefix?: string | undefined;
  /** Told of what puts the log at risk, once, and of each time that its keys were found changed by somebody else. */
  onWarning?: ((message: string) => void) | undefined;
}

/**
 * A log in Redis (7.0 or later), shared by any number of nodes: a stream, its indexes, and a script for everything that
 * has to happen at once. What an acknowledged event survives is up to Redis: see docs/scaling.md.
 *
 * @throws HubError `log-failed` when it refuses, or cannot be reached within a few seconds; without a password in it
 */
export function openRedisLog(options: RedisLogOptions): Promise<BrokerLog> {
  const limits = limitsOf(options, MEMORY_LOG_DEFAULTS);
  return openBrokerLog(new RedisBroker(options, limits), limits, options);
}

class RedisBroker implements Broker {
  readonly name: string;
  /** Redis does nothing else while it appends: some ten milliseconds. */
  readonly maxAppend = 1000;
  readonly #url: string;
  readonly #key: string;
  readonly #limits: Limits;
  readonly #warn: (message: string) => void;
  #warned = false;

  constructor({ url, prefix = "sse", onWarning = () => {} }: RedisLogOptions, limits: Limits) {
    this.#url = url;
    this.#key = `{${prefix}}`;
    this.#limits = limits;
    this.#warn = onWarning;
    this.name = `Redis at ${new URL(url).host}`;
  }

  async connect(): Promise<BrokerSession> {
    const clients = [this.#client(), this.#client()] as const;
    try {
      await Promise.all(clients.map(begin));
    } catch (error) {
      for (const client of clients) client.close();
      const fault = await redisFault(this.#url, CONNECT_WITHIN);
      if (fault === null) throw error;
      throw fault.isFinal ? new BrokerRefusal(fault.reason) : new Error(fault.reason, { cause: error });
    }
    await this.#checkPolicy(clients[0]);
    return new RedisSession(...clients, this.#key, this.#limits, (lengths) =>
      this.#warn(
        `keys of the log in Redis are gone, or were changed by somebody else (${lengths}): it begins anew, and streams are told the gap`,
      ),
    );
  }

  /** Says once that Redis may evict keys by itself: its volatile policies leave alone what does not expire. */
  async #checkPolicy(client: RedisClient): Promise<void> {
    if (this.#warned) return;
    const memory = (await client.send("INFO", ["memory"]).catch(() => "")) as string; // not everybody may ask
    const policy = /^maxmemory_policy:(allkeys-\S+)/m.exec(memory)?.[1];
    if (policy === undefined) return;
    this.#warned = true;
    this.#warn(
      `Redis may evict the log when its memory is full: its maxmemory-policy is ${policy}; set it to noeviction`,
    );
  }

  #client(): RedisClient {
    return new RedisClient(this.#url, {
      autoReconnect: false,
      enableOfflineQueue: false,
      connectionTimeout: CONNECT_WITHIN,
    });
  }
}

/** Connects. With a password, Bun's client tells of a database that is none only at the first command. */
async function begin(client: RedisClient): Promise<void> {
  await client.connect();
  await client.send("PING", []).catch((error: Error) => {
    if (!error.message.startsWith("NOPERM")) throw error;
  });
}

/** One connection that waits for what is new, and one for everything else, which is not to wait behind it. */
class RedisSession implements BrokerSession {
  readonly #waiting: RedisClient;
  readonly #asking: RedisClient;
  readonly #key: string;
  readonly #bounds: readonly string[];
  readonly #onRuins: (lengths: string) => void;
  readonly #reads = new Semaphore(READS);
  #tailCount = TAIL_EVENTS / 16;

  constructor(
    waiting: RedisClient,
    asking: RedisClient,
    key: string,
    limits: Limits,
    onRuins: (lengths: string) => void,
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
    const reply = (await this.#run(STATE, [String(seen), ...this.#bounds])) as
      | [
          ...[epoch: string, first: number, last: number, bytes: number, inherited: number],
          ...[mark: string | null, refused: string | null],
        ]
      | null;
    if (reply === null) return null;
    const [epoch, first, last, bytes, inherited, mark, refused] = reply;
    const recent = Math.max(first - 1, last - RECENT);
    const refusal = refused === null ? null : explained(refused);
    return { epoch, first, last, events: last - first + 1, bytes, recent, inherited, mark, refusal };
  }

  async create(epoch: string, former: string): Promise<void> {
    const ruins = (await this.#run(CREATE, [epoch, former])) as [expected: string, found: string] | null;
    if (ruins !== null) this.#onRuins(`lengths ${ruins[1]} instead of ${ruins[0]}`);
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
        throw new EpochMismatch(`somebody else has added ${id} to ${key}`);
      bytes += value!.length;
      return recordOf(first + at, names!, value!, taken!);
    });
    // An event can be a megabyte: a thousand of them are not to be here at once.
    this.#tailCount = Math.max(1, Math.min(TAIL_EVENTS, Math.floor((TAIL_BYTES * entries.length) / bytes)));
    return { from: first - 1, kept };
  }

  async append(epoch: string, seen: Cursor, batch: readonly NewEvent[]): Promise<readonly Cursor[]> {
    const args = [epoch, String(seen), ...this.#bounds];
    for (const { topic, key, idempotencyKey, end, type, data } of batch) {
      args.push(`${topic}\0${key}\0${idempotencyKey}`, `${end ? 1 : 0}${type}\n${data}`);
    }
    // With the whole script: one that Redis had to be told again would be overtaken by the appends behind it.
    const evaluate = () => this.#asking.send("EVAL", [APPEND.text, "1", this.#key, ...args]);
    return ofEpoch(await checked(evaluate)) as Cursor[];
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
   * One script says where the reader begins, and of the ends. With patterns, more scripts find the last events before it, and
   * count those that follow after it. No hole can come of what happens in between: what is appended is not considered, being
   * after `upTo`; when events are evicted, a cursor is found that is too early, or before some of what is gone, and the script
   * in the middle begins at what is left; and nothing but the number that is shown depends on the count.
   */
  async position(
    epoch: string,
    { selectors, after, last, upTo, counted }: BrokerQuestion,
  ): Promise<BrokerPosition> {
    const { topics, patterns, selectsAll } = selectors;
    const hasPatterns = patterns.length > 0;
    const isLong = last === Infinity;
    let begin = after;
    if (begin === null && last === 0) begin = upTo;
    else if (begin === null && selectsAll) begin = Math.max(0, upTo - last);
    else if (begin === null && hasPatterns)
      begin = isLong ? 0 : await this.#beforeLast(epoch, last, selectors, upTo);
    const flags = [counted, hasPatterns].map((flag) => (flag ? "1" : "0"));
    const args = [epoch, begin === null && isLong ? 0 : (begin ?? ""), isLong ? "" : last, upTo].map(String);
    const [from, replayed, ends] = (await this.#read(POSITION, [...args, ...flags, ...topics])) as [
      ...[from: Cursor, replayed: number, ends: Cursor[]],
    ];
    if (!counted || !hasPatterns) return { from, replayed, ends };
    return { from, replayed: await this.#count(epoch, from, selectors, upTo), ends };
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

  /** The cursor before the last events that a set with patterns selects; 0 when there are fewer. */
  async #beforeLast(epoch: string, last: number, selectors: SelectorSet, upTo: Cursor): Promise<Cursor> {
    const numbers: Cursor[] = [];
    await this.#walk(epoch, selectors, (seq) => {
      if (seq <= upTo) numbers.push(seq);
    });
    const nth = Float64Array.from(numbers).toSorted().at(-last);
    return nth === undefined ? 0 : nth - 1;
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

/** Digits of a number in the index. */
const NUMBER_LENGTH = 16;

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

/** What every topic begins with that these select. */
function commonPrefix({ topics, patterns }: SelectorSet): string {
  const starts = patterns.map(({ segments, rest }) => {
    const wild = segments.indexOf("*");
    const fixed = wild === -1 ? segments : segments.slice(0, wild);
    return fixed.join("/") + (fixed.length > 0 && (wild !== -1 || rest) ? "/" : "");
  });
  const all = [...topics, ...starts].toSorted();
  const [low, high] = [all[0]!, all.at(-1)!];
  let length = 0;
  while (length < low.length && low[length] === high[length]) length++;
  if (/[\uD800-\uDBFF]/.test(low[length - 1] ?? "")) length--; // not in the middle of a character
  return low.slice(0, length);
}
