import { HubError } from "../../errors.ts";
import type { Broker, BrokerSession } from "../broker/broker.ts";
import { type BrokerLog, type BrokerLogOptions, openBrokerLog } from "../broker/broker-log.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { type Limits, limitsOf } from "../retention.ts";
import { connect } from "./connection.ts";
import { metaKey } from "./scripts.ts";
import { RedisSession, type Replication } from "./session.ts";
import { type RedisPackage, type RedisSource, type RedisTarget, sourceOf } from "./target.ts";

export type { RedisClient, RedisTarget } from "./target.ts";

/**
 * A log in Redis (7.0 or later), shared by any number of nodes: a stream, its indexes, and a script for everything that
 * has to happen at once. What an acknowledged event survives is up to Redis: see docs/scaling.md. Needs the package `ioredis`.
 *
 * @throws HubError `log-failed` when it refuses, or cannot be reached within a few seconds; without a password in it
 * @throws RangeError when the options contradict each other
 */
export async function openRedisLog(options: RedisLogOptions): Promise<BrokerLog> {
  const limits = limitsOf(options, MEMORY_LOG_DEFAULTS);
  return await openBrokerLog(new RedisBroker(await redisPackage(), options, limits), limits, options);
}

/** Where Redis is, and what the log holds in it. */
export interface RedisLogOptions extends BrokerLogOptions, RedisTarget {
  /** What the names of the keys begin with, so that several logs can share a Redis; default `sse`. */
  prefix?: string | undefined;
  /**
   * How many replicas must have an event before it is acknowledged (`WAIT`); default 0. A failover to one of them does not lose it.
   * When fewer have it in time, the publisher is told that it may have been published.
   */
  waitReplicas?: number | undefined;
  /** How long replicas may take, in milliseconds; default 1,000, at most 4,000. */
  waitTimeout?: number | undefined;
  /** Told once of what puts the log at risk, and each time that a key of the log was deleted or changed by another client. */
  onWarning?: ((message: string) => void) | undefined;
}

class RedisBroker implements Broker {
  readonly name: string;
  /** Redis does nothing else while it appends: some ten milliseconds. */
  readonly maxAppend = 1000;
  readonly #ioredis: RedisPackage;
  readonly #source: RedisSource;
  readonly #key: string;
  readonly #limits: Limits;
  readonly #replication: Replication;
  readonly #warn: (message: string) => void;
  #attempts = 0;
  #warned = false;
  /** The last epoch that was found with a key missing or changed. */
  #ruined = "";

  constructor(ioredis: RedisPackage, options: RedisLogOptions, limits: Limits) {
    const { prefix = "sse", waitReplicas = 0, waitTimeout = 1000, onWarning = () => {} } = options;
    if (!(Number.isInteger(waitReplicas) && waitReplicas >= 0))
      throw new RangeError(`waitReplicas must be a whole number from 0, not ${waitReplicas}`);
    if (!(Number.isInteger(waitTimeout) && waitTimeout >= 1 && waitTimeout <= 4000))
      throw new RangeError(`waitTimeout must be from 1 to 4000 milliseconds, not ${waitTimeout}`);
    this.#ioredis = ioredis;
    this.#source = sourceOf(ioredis, options);
    this.#key = metaKey(prefix);
    this.#limits = limits;
    this.#replication = { replicas: waitReplicas, within: waitTimeout };
    this.#warn = onWarning;
    this.name = this.#source.name;
  }

  async connect(): Promise<BrokerSession> {
    // What waits for replicas holds up everything behind it.
    const count = this.#replication.replicas > 0 ? 3 : 2;
    const client = this.#source.client();
    const connections = await connect(this.#ioredis, client, this.#key, count, this.#attempts++);
    this.#checkPolicy(connections.info);
    const onRuins = (epoch: string, key: string): void => this.#warnOfRuins(epoch, key);
    return new RedisSession(connections, this.#key, this.#limits, this.#replication, onRuins);
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
  #checkPolicy(info: string): void {
    const policy = /^maxmemory_policy:(allkeys-\S+)/m.exec(info)?.[1];
    if (policy === undefined || this.#warned) return;
    this.#warned = true;
    this.#warn(
      `Redis may evict the log when its memory is full: its maxmemory-policy is ${policy}; set it to noeviction`,
    );
  }
}

async function redisPackage(): Promise<RedisPackage> {
  try {
    return await import("ioredis");
  } catch (cause) {
    throw new HubError("log-failed", "a log in Redis needs the package ioredis; install it beside @sse/hub", {
      cause,
    });
  }
}
