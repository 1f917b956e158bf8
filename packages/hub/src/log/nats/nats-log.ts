import type { StreamConfig, StreamInfo } from "@nats-io/jetstream";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { type Clock, systemClock } from "../../clock.ts";
import { HubError } from "../../errors.ts";
import { type Broker, BrokerRefusal, type BrokerSession } from "../broker/broker.ts";
import { type BrokerLog, type BrokerLogOptions, openBrokerLog } from "../broker/broker-log.ts";
import type { NatsPackages } from "./client.ts";
import { EndedTopics } from "./ended-topics.ts";
import { NatsSession } from "./session.ts";
import { MEMORY_LOG_DEFAULTS } from "../memory/memory-log.ts";
import { type Limits, limitsOf } from "../retention.ts";

/**
 * A log in NATS JetStream (2.9 or later), shared by any number of nodes: a stream, whose messages hold each what one
 * publisher published together. Needs the packages `@nats-io/transport-node` and `@nats-io/jetstream`.
 *
 * @throws HubError `log-failed` when it refuses, or cannot be reached within a few seconds; without a password in it
 */
export async function openNatsLog(options: NatsLogOptions): Promise<BrokerLog> {
  const limits = limitsOf(options, MEMORY_LOG_DEFAULTS);
  return await openBrokerLog(new NatsBroker(await natsPackages(), limits, options), limits, options);
}

/** Where NATS is, and what its stream holds. */
export interface NatsLogOptions extends BrokerLogOptions {
  /** `nats://[user:password@ or token@]host[:port][,host[:port]...]`, or `tls://`. */
  url: string;
  /** The name of the stream, and what its subjects begin with; default `sse`. */
  prefix?: string | undefined;
  /** How many servers keep the stream, when it has to be made; default 1. */
  replicas?: number | undefined;
  /**
   * Told, once each, that the stream exists and keeps something else than what is asked for here (it stays as it is); that it holds
   * messages that are no events of this log; that the ends of topics cannot be saved.
   */
  onWarning?: ((message: string) => void) | undefined;
}

class NatsBroker implements Broker {
  readonly name: string;
  /** A message holds what one publisher published. */
  readonly maxAppend = 1;
  readonly #nats: NatsPackages;
  readonly #servers: ConnectionOptions;
  readonly #prefix: string;
  readonly #config: Partial<StreamConfig>;
  readonly #clock: Clock;
  readonly #ends = { table: new EndedTopics("", 0) };
  readonly #onWarning: (message: string) => void;
  readonly #warned = new Set<string>();

  constructor(
    nats: NatsPackages,
    limits: Limits,
    { url, prefix = "sse", replicas = 1, clock = systemClock, onWarning = () => {} }: NatsLogOptions,
  ) {
    const match = /^(nats|tls):\/\/(?:([^@/]*)@)?([^/?@]+)/.exec(url);
    if (match === null) throw new RangeError("url must be as nats://host:4222");
    const [, scheme, login = "", hosts] = match as unknown as [string, string, string | undefined, string];
    const [user = "", pass] = login.split(":", 2).map(decodeURIComponent);
    this.name = `NATS at ${hosts}`;
    this.#nats = nats;
    this.#servers = {
      servers: hosts.split(","),
      ...(pass === undefined ? {} : { user, pass }),
      ...(pass === undefined && user !== "" ? { token: user } : {}),
      ...(scheme === "tls" ? { tls: {} } : {}),
    };
    this.#prefix = prefix;
    this.#config = {
      subjects: [`${prefix}.>`],
      allow_direct: true,
      num_replicas: replicas,
      max_msgs: orNone(limits.maxEvents),
      max_bytes: orNone(limits.maxBytes),
      max_age: Number.isFinite(limits.maxAge) ? nats.nanos(limits.maxAge) : 0,
    };
    this.#clock = clock;
    this.#onWarning = onWarning;
  }

  async connect(): Promise<BrokerSession> {
    let connection: NatsConnection | null = null;
    try {
      connection = await this.#nats.connect({
        ...this.#servers,
        name: "sse",
        reconnect: false,
        timeout: ANSWER_WITHIN,
        pingInterval: 1000,
        maxPingOut: 2,
      });
      return new NatsSession({
        nats: this.#nats,
        connection,
        manager: await this.#nats.jetstreamManager(connection, { timeout: ANSWER_WITHIN }),
        jetstream: this.#nats.jetstream(connection, { timeout: ANSWER_WITHIN }),
        prefix: this.#prefix,
        config: this.#config,
        clock: this.#clock,
        ends: this.#ends,
        onFound: (info) => this.#compare(info),
        warn: (kind, message) => this.#warn(kind, message),
      });
    } catch (error) {
      void connection?.close();
      if (error instanceof this.#nats.AuthorizationError) throw new BrokerRefusal(error.message);
      if ((error as Error).name === "JetStreamNotEnabled") {
        throw new BrokerRefusal("JetStream is not enabled there: start nats-server with -js");
      }
      throw error;
    }
  }

  #warn(kind: string, message: string): void {
    if (this.#warned.has(kind)) return;
    this.#warned.add(kind);
    this.#onWarning(message);
  }

  /** Says what the stream keeps in place of what was asked for. */
  #compare({ config }: StreamInfo): void {
    const different = Object.entries(BOUNDS).filter(
      ([name]) => config[name as Bound] !== this.#config[name as Bound],
    );
    if (different.length === 0) return;
    const list = different.map(([name, show]) => {
      const [has, wanted] = [config[name as Bound], this.#config[name as Bound] ?? 0];
      return `${name} ${show(has)} and not ${show(wanted)}`;
    });
    this.#warn(
      "bounds",
      `the stream ${this.#prefix} has ${list.join(", ")}: it stays so; change it with \`nats stream edit\``,
    );
  }
}

async function natsPackages(): Promise<NatsPackages> {
  try {
    const [transport, jetstream] = await Promise.all([
      import("@nats-io/transport-node"),
      import("@nats-io/jetstream"),
    ]);
    return { ...transport, ...jetstream };
  } catch (cause) {
    throw new HubError(
      "log-failed",
      "a log in NATS needs the packages @nats-io/transport-node and @nats-io/jetstream; install them beside @sse/hub",
      { cause },
    );
  }
}

/** How long the server may take to answer, in milliseconds. */
const ANSWER_WITHIN = 3000;

type Bound = keyof typeof BOUNDS;

/** How people read the bounds of a stream. */
const BOUNDS = {
  max_msgs: (count: number) => (count < 0 ? "off" : String(count)),
  max_bytes: (bytes: number) => (bytes < 0 ? "off" : inUnits(bytes, BYTES)),
  max_age: (age: number) => (age === 0 ? "off" : inUnits(age / 1e6, MILLISECONDS)),
  num_replicas: String,
};

const BYTES = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
  [1, "B"],
] as const;
const MILLISECONDS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1000, "s"],
  [1, "ms"],
] as const;

/** In the largest unit of which it is a whole number. */
function inUnits(amount: number, units: readonly (readonly [size: number, unit: string])[]): string {
  const [size, unit] = units.find(([each]) => amount % each === 0) ?? units.at(-1)!;
  return `${amount / size}${unit}`;
}

/** A bound of a stream; -1 is none. */
function orNone(bound: number): number {
  return Number.isFinite(bound) ? Math.floor(bound) : -1;
}
