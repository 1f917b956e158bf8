import type { Cluster, Redis, RedisOptions } from "ioredis";
import { systemClock } from "../../clock.ts";
import { within } from "../broker/timing.ts";
import { connectionFault } from "./fault.ts";
import type { RedisClient, RedisPackage } from "./target.ts";

/** Sends a command on one connection. */
export type Send = (command: string, args: readonly string[]) => Promise<unknown>;

/** Connections to one server. When one of them is lost, all are closed. */
export interface RedisConnections {
  readonly connections: readonly Send[];
  /** What the server tells of itself; "" when this user may not ask. */
  readonly info: string;
  readonly close: () => void;
}

/**
 * Connects to the server that takes what is written: the one there is, the one that the sentinels call the primary, or the one
 * that has the slot of the log in a Cluster. Each connection is made once: nothing is sent twice, and nothing waits in the client.
 *
 * @param key of the slot
 * @param attempt how many attempts came before: another sentinel is asked first each time, as one that hangs takes all the time
 */
export async function connect(
  ioredis: RedisPackage,
  source: RedisClient,
  key: string,
  count: number,
  attempt: number,
): Promise<RedisConnections> {
  const opened: { disconnect(): void }[] = [];
  const sentinels: string[] = [];
  const open = async (): Promise<{ clients: Redis[]; infos: string[] }> => {
    const server = isCluster(source) ? await primaryOf(ioredis, source, key, opened) : source;
    const options = { ...OPTIONS, ...sentinelOptions(server.options, attempt) };
    const clients = Array.from({ length: count }, () => server.duplicate(options));
    opened.push(...clients);
    for (const client of clients) client.on("sentinelError", ({ message }: Error) => sentinels.push(message));
    return { clients, infos: await Promise.all(clients.map(ready)) };
  };
  const disconnect = (): void => {
    for (const each of opened) each.disconnect();
  };
  try {
    const { clients, infos } = await within(systemClock, CONNECT_WITHIN, open(), disconnect);
    // Sentinels, or names, can lead to two servers while one takes over from the other.
    if (new Set(infos.map((info) => /^run_id:(.*)$/m.exec(info)?.[1])).size > 1)
      throw new Error("it is being replaced: connections lead to different servers");
    if (/^role:slave/m.test(infos[0]!)) throw new Error("it is a replica");
    let isClosed = false;
    const close = (): void => {
      if (isClosed) return;
      isClosed = true;
      for (const client of clients) client.disconnect();
    };
    for (const client of clients) client.once("end", close);
    const connections = clients.map(
      (client): Send =>
        (command, args) =>
          client.call(command, args as string[]),
    );
    return { connections, info: infos[0]!, close };
  } catch (error) {
    disconnect();
    const { tls } = isCluster(source) ? (source.options.redisOptions ?? {}) : source.options;
    throw connectionFault(error, tls !== undefined, [...new Set(sentinels)]);
  }
}

/** Resolves with what the server tells of itself, as far as this user may ask. */
function ready(client: Redis): Promise<string> {
  return new Promise((resolve, reject) => {
    // It tells why it cannot connect only in events, and goes on when the database is none.
    client.on("error", reject);
    const told = client.connect().then(() => client.info());
    told.then(resolve, (error: Error) => {
      if (error.message.startsWith("NOPERM")) resolve("");
      else reject(error);
    });
  });
}

/** The node that has the slot of the key. Everything is in this one slot: a session needs no connection to another node. */
async function primaryOf(
  { Command }: RedisPackage,
  source: Cluster,
  key: string,
  opened: { disconnect(): void }[],
): Promise<Redis> {
  const cluster = source.duplicate([], {
    lazyConnect: true,
    clusterRetryStrategy: null,
    enableReadyCheck: false, // its promise is never settled when that fails
    redisOptions: { ...source.options.redisOptions, ...OPTIONS },
  });
  opened.push(cluster);
  const faults: Error[] = [];
  cluster.on("error", () => {});
  cluster.on("node error", (error: Error) => faults.push(error));
  try {
    await cluster.connect();
  } catch (error) {
    // Of a node that is away it says no more than this.
    const told = faults.find(({ message }) => message !== "Connection is closed.");
    throw told ?? new Error("no node of it answers", { cause: error });
  }
  const [primary] = cluster.slots[new Command("get", [key]).getSlot()] ?? [];
  const node = cluster.nodes("master").find(({ options }) => `${options.host}:${options.port}` === primary);
  cluster.disconnect();
  if (node === undefined) throw new Error("no node has the slot of the log");
  return node;
}

/** What is not for a client that is made once to decide. */
const OPTIONS = {
  lazyConnect: true,
  retryStrategy: null,
  reconnectOnError: null,
  maxRetriesPerRequest: null,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  enableReadyCheck: false,
  // The log has its own; these would end the wait for new events.
  commandTimeout: undefined,
  blockingTimeout: undefined,
  socketTimeout: undefined,
  disconnectTimeout: 0,
  keyPrefix: "",
  protocol: 2, // in 3 an answer to XREAD has another shape
  readOnly: false,
  replyMapping: "legacy",
  role: "master",
  stringNumbers: false,
} satisfies RedisOptions;

/** How long it may take until all connections are made, in milliseconds. */
const CONNECT_WITHIN = 3000;
/** How long a sentinel may take: two that hang, of three, leave time for the third. */
const SENTINEL_WITHIN = 900;

function sentinelOptions({ sentinels }: RedisOptions, attempt: number): RedisOptions {
  if (!sentinels) return { connectTimeout: CONNECT_WITHIN };
  const first = attempt % sentinels.length;
  return {
    sentinels: [...sentinels.slice(first), ...sentinels.slice(0, first)],
    sentinelRetryStrategy: () => null,
    sentinelCommandTimeout: SENTINEL_WITHIN,
    connectTimeout: SENTINEL_WITHIN,
  };
}

function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
}
