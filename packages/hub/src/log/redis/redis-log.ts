import { RedisClient } from "bun";
import { type Broker, BrokerRefusal, type BrokerSession } from "../broker/broker.ts";
import { type BrokerLog, type BrokerLogOptions, openBrokerLog } from "../broker/broker-log.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { type Limits, limitsOf } from "../retention.ts";
import { redisFault } from "./refusal.ts";
import { RedisSession } from "./session.ts";

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

/** Where Redis is, and what the log holds in it. */
export interface RedisLogOptions extends BrokerLogOptions {
  /** `redis://[user:password@]host[:port][/database]`, or `rediss://` over TLS. */
  url: string;
  /** What the names of the keys begin with, so that several logs can share a Redis; default `sse`. */
  prefix?: string | undefined;
  /** Told once of what puts the log at risk, and each time that a key of the log was deleted or changed by another client. */
  onWarning?: ((message: string) => void) | undefined;
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
  /** The last epoch that was found with a key missing or changed. */
  #ruined = "";

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
    return new RedisSession(...clients, this.#key, this.#limits, (...ruins) => this.#warnOfRuins(...ruins));
  }

  /** Warns once for each epoch. */
  #warnOfRuins(epoch: string, key: string): void {
    if (epoch === this.#ruined) return;
    this.#ruined = epoch;
    this.#warn(
      `the key ${key} in Redis was deleted, or changed by another client: the log restarts empty, and streams are told the gap`,
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

/** How long a connection may take to be made, in milliseconds. */
const CONNECT_WITHIN = 3000;
