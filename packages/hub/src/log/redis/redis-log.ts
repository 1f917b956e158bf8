import { RedisClient } from "bun";
import type { Cursor } from "../event-id.ts";
import type { NewEvent } from "../../publish/message.ts";
import type { SelectorSet, Topic } from "../../topics/topic.ts";
import {
  type Broker,
  type BrokerPage,
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
import { type Script, APPEND, COUNT, INDEX, LAST, PAGE, RENEW, STATE, SURVEY } from "./scripts.ts";
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
  /** Told once, when the log is opened, of what puts it at risk. */
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
    return new RedisSession(...clients, this.#key, this.#limits);
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
  readonly #reads = new Semaphore(READS);
  #tailCount = TAIL_EVENTS / 16;

  constructor(waiting: RedisClient, asking: RedisClient, key: string, limits: Limits) {
    this.#waiting = waiting;
    this.#asking = asking;
    this.#key = key;
    this.#bounds = [limits.maxEvents, limits.maxBytes, limits.maxAge].map((bound) =>
      String(Math.min(Math.floor(bound), Number.MAX_SAFE_INTEGER)),
    );
  }

  async state(seen: Cursor, fresh: string): Promise<BrokerState> {
    const args = [fresh, String(seen), ...this.#bounds];
    const [epoch, first, last, bytes, inherited, mark, refused] = (await this.#run(STATE, args)) as [
      ...[epoch: string, first: number, last: number, bytes: number, inherited: number],
      ...[mark: string | null, refused: string | null],
    ];
    const recent = Math.max(first - 1, last - RECENT);
    const refusal = refused === null ? null : explained(refused);
    return { epoch, first, last, events: last - first + 1, bytes, recent, inherited, mark, refusal };
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
    const reply = (await this.#waiting.send("XREAD", [
      "COUNT",
      String(this.#tailCount),
      "BLOCK",
      String(wait),
      "STREAMS",
      key,
      `${after}-0`,
    ])) as Record<string, [id: string, fields: string[]][]> | null;
    const entries = reply?.[key] ?? [];
    if (entries.length === 0) return { from: after, kept: [] };
    let bytes = 0;
    const kept = entries.map(([id, [, names, , value, , mark]]) => {
      bytes += value!.length;
      return recordsOf(Number.parseInt(id, 10), names!, value!, mark!);
    });
    // An event can be a megabyte: a thousand of them are not to be here at once.
    this.#tailCount = Math.max(1, Math.min(TAIL_EVENTS, Math.floor((TAIL_BYTES * entries.length) / bytes)));
    return { from: kept[0]!.seq - 1, kept };
  }

  async append(epoch: string, seen: Cursor, batch: readonly NewEvent[]): Promise<readonly Cursor[]> {
    const args = [epoch, String(seen), ...this.#bounds];
    for (const { topic, key, idempotencyKey, end, type, data } of batch) {
      args.push(`${topic}\0${key}\0${idempotencyKey}`, `${end ? 1 : 0}${type}\n${data}`);
    }
    return (await this.#run(APPEND, args)) as Cursor[];
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
    ])) as [Cursor, Cursor, [seq: Cursor, names: string, value: string, mark: string, newest: number][]];
    const outdated = new Set(found.filter(([, , , , newest]) => newest === 0).map(([seq]) => seq));
    const kept = found.map(([seq, names, value, mark]) => recordsOf(seq, names, value, mark));
    const selected = byTopic ? kept : kept.filter(({ event }) => selectors.matches(event.topic));
    return { from, cursor, kept: selected, outdated };
  }

  async survey(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    upTo: Cursor,
  ): Promise<{ from: Cursor; events: number }> {
    const [from, events] = await this.#survey(epoch, after, selectors, upTo);
    if (selectors.patterns.length === 0) return { from, events };
    if (selectors.selectsAll) return { from, events: Math.max(0, upTo - from) };
    let matched = 0;
    let place = "";
    do {
      const args = [epoch, String(from), String(upTo), place, commonPrefix(selectors)];
      const [next, counts] = (await this.#read(COUNT, args)) as [place: string, (Topic | number)[]];
      for (let at = 0; at < counts.length; at += 2)
        if (selectors.matches(counts[at] as Topic)) matched += counts[at + 1] as number;
      place = next;
    } while (place !== "");
    return { from, events: matched };
  }

  /** Without topics, nothing is counted. */
  async #survey(
    epoch: string,
    after: Cursor,
    selectors: SelectorSet,
    upTo: Cursor,
  ): Promise<[Cursor, number]> {
    const topics = selectors.patterns.length === 0 ? selectors.topics : [];
    return (await this.#read(SURVEY, [epoch, String(after), String(upTo), ...topics])) as [Cursor, number];
  }

  async rewind(epoch: string, count: number, selectors: SelectorSet, upTo: Cursor): Promise<Cursor> {
    const [oldest] = await this.#survey(epoch, 0, selectors, 0);
    if (selectors.selectsAll) return Math.max(oldest, upTo - count);
    if (!Number.isFinite(count)) return oldest;
    const numbers: Cursor[] = [];
    if (selectors.patterns.length > 0) {
      await this.#walk(epoch, selectors, (seq) => {
        if (seq <= upTo) numbers.push(seq);
      });
    } else {
      for (const [, lasts] of await this.#last(epoch, selectors.topics, upTo, count)) numbers.push(...lasts);
    }
    const nth = Float64Array.from(numbers).toSorted().at(-count);
    return nth === undefined ? oldest : nth - 1;
  }

  async ends(epoch: string, topics: readonly Topic[], upTo: Cursor): Promise<readonly Cursor[]> {
    const lasts = await this.#last(epoch, topics, upTo, 1);
    return lasts.map(([ended, numbers]) => (ended === 1 ? numbers[0]! : 0));
  }

  async #last(epoch: string, topics: readonly Topic[], upTo: Cursor, count: number) {
    const args = [epoch, String(upTo), String(count), ...topics];
    return (await this.#read(LAST, args)) as [ended: number, numbers: Cursor[]][];
  }

  /** Visits the number of every event that a set with patterns selects, by topics and not in their order. */
  async #walk(epoch: string, selectors: SelectorSet, visit: (seq: Cursor) => void): Promise<void> {
    const prefix = commonPrefix(selectors);
    let topic = "";
    let selected = false;
    for (let after = ""; ;) {
      const members = (await this.#read(INDEX, [epoch, after, prefix])) as string[];
      for (const member of members) {
        const parted = member.length - NUMBER_LENGTH;
        const name = member.slice(0, parted - 1);
        if (name !== topic) {
          topic = name;
          selected = selectors.matches(name as Topic);
        }
        if (selected) visit(Number(member.slice(parted)));
      }
      if (members.length === 0) return;
      after = members.at(-1)!;
    }
  }

  #read(script: Script, args: readonly string[]): Promise<unknown> {
    return this.#reads.pass(1, () => this.#run(script, args));
  }

  async #run(script: Script, args: readonly string[]): Promise<unknown> {
    let reply: unknown;
    try {
      reply = await this.#evaluate(script, args);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      // A failover has left us with a replica: the next connection finds the primary.
      if (message.startsWith("READONLY")) throw new EpochMismatch(message);
      // A reply, and not one that says "later": the script has done nothing.
      if (code === "ERR_REDIS_SERVER_ERROR" && !/^(LOADING|BUSY|TRYAGAIN|MASTERDOWN)/.test(message))
        throw new BrokerRefusal(explained(message));
      throw error;
    }
    if (reply === null) throw new EpochMismatch("the log in Redis is in another life");
    return reply;
  }

  async #evaluate({ text, sha }: Script, args: readonly string[]): Promise<unknown> {
    try {
      return await this.#asking.send("EVALSHA", [sha, "1", this.#key, ...args]);
    } catch (error) {
      if (!String(error).includes("NOSCRIPT")) throw error;
      return await this.#asking.send("EVAL", [text, "1", this.#key, ...args]);
    }
  }

  close(): void {
    this.#waiting.close();
    this.#asking.close();
  }
}

/** Digits of a number in the index. */
const NUMBER_LENGTH = 16;

function recordsOf(seq: Cursor, names: string, value: string, mark: string): BrokerRecord {
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
  return { seq, time: Number(mark) / 1000, mark, event };
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
