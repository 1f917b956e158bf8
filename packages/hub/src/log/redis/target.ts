import type { Cluster, ClusterNode, Redis, RedisOptions, SentinelAddress } from "ioredis";

/** A client of ioredis. */
export type RedisClient = Redis | Cluster;
/** What the log uses of the package. */
export type RedisPackage = Pick<typeof import("ioredis"), "Redis" | "Cluster" | "Command">;

/** As ioredis has them, but for the shape of its replies. */
export type RedisConnectOptions = Omit<RedisOptions, "replyMapping">;

/** Where Redis is: one of `url`, `client`, `sentinels` and `cluster`. */
export interface RedisTarget {
  /**
   * `redis://[user:password@]host[:port][/database]`. Several hosts are separated by commas:
   * `redis+sentinel://[user:password@]host[:port]/primary[/database]`, `redis+cluster://[user:password@]host[:port]`.
   * Over TLS: `rediss://`, `rediss+sentinel://`, `rediss+cluster://`.
   */
  url?: string | undefined;
  /**
   * A client of ioredis, or a function that makes one for each connection, for a password that changes. The log opens connections of
   * its own with the options of the client, and doesn't use or close it: create it with `lazyConnect`.
   */
  client?: RedisClient | (() => RedisClient) | undefined;
  /** Default port: 26379. */
  sentinels?: readonly Partial<SentinelAddress>[] | undefined;
  /** What the sentinels call the primary; with `sentinels`. */
  name?: string | undefined;
  /** Nodes of a Redis Cluster; the others are found through them. */
  cluster?: readonly ClusterNode[] | undefined;
  /** Other options of ioredis, such as the login, that of the sentinels, `tls` and `natMap`; not with `client`. */
  redis?: RedisConnectOptions | undefined;
}

/** How to make a client that has the options to connect, and a name for messages, without a password in it. */
export interface RedisSource {
  readonly name: string;
  readonly client: () => RedisClient;
}

/** @throws RangeError without what is secret in the url */
export function sourceOf(ioredis: RedisPackage, target: RedisTarget): RedisSource {
  const { url, client, sentinels, name, cluster, redis = {} } = target;
  const given = Object.entries({ url, client, sentinels, cluster }).filter(
    ([, value]) => value !== undefined,
  );
  if (given.length !== 1) {
    const names = given.map(([key]) => key).join(" and ") || "none of them";
    throw new RangeError(`a log in Redis takes one of url, client, sentinels and cluster; this is ${names}`);
  }
  if (url !== undefined)
    return sourceOf(ioredis, { ...target, url: undefined, ...partsOf(ioredis, url, redis) });
  const options = { ...redis, lazyConnect: true };
  if (sentinels !== undefined) {
    if (!name) throw new RangeError("sentinels need the name of the primary");
    const all = { ...options, sentinels: [...sentinels], name };
    return { name: `Redis primary ${name} of ${addresses(sentinels)}`, client: () => new ioredis.Redis(all) };
  }
  if (cluster !== undefined) {
    const all = { redisOptions: options, lazyConnect: true };
    const nodes = cluster.filter((node) => typeof node === "object");
    return {
      name: `Redis Cluster at ${addresses(nodes)}`,
      client: () => new ioredis.Cluster([...cluster], all),
    };
  }
  const make = typeof client === "function" ? client : () => client!;
  return { name: nameOf(make()), client: make };
}

function nameOf(client: RedisClient): string {
  if (client.isCluster) return "Redis Cluster";
  const { host, port, path, name } = (client as Redis).options;
  return name ? `Redis primary ${name}` : `Redis at ${path ?? addresses([{ host, port }])}`;
}

function addresses(all: readonly { host?: string | undefined; port?: number | undefined }[]): string {
  return all.map(({ host, port }) => (port === undefined ? host : `${host}:${port}`)).join();
}

/** What a url says, in the options that it stands for. */
function partsOf({ Redis }: RedisPackage, url: string, more: RedisConnectOptions): RedisTarget {
  const match = /^redis(s)?(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^/?#@]+)(?:\/([^?#]*))?$/.exec(url);
  if (match === null) throw new RangeError("url must be as redis://host:6379");
  const [, isSecure, kind, login = "", hosts, path = ""] = match;
  const [username = "", password = ""] = login.split(":").map(decodeURIComponent);
  const nodes = hosts!.split(",").map((each) => {
    const [, host = each, port] = /^(.*?)(?::(\d+))?$/.exec(each) ?? [];
    const bare = host.replace(/^\[(.*)\]$/, "$1");
    return { host: bare, port: Number(port ?? (kind === "sentinel" ? 26_379 : 6379)) };
  });
  const [name = "", database = ""] = kind === "sentinel" ? path.split("/") : ["", path];
  const redis: RedisConnectOptions = {
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    ...(isSecure === undefined ? {} : { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true }),
    db: Number(database),
    ...more,
  };
  if (kind === "cluster") return { cluster: nodes, redis };
  if (kind === "sentinel") return { sentinels: nodes, name, redis };
  const [{ host, port }] = nodes as [{ host: string; port: number }];
  return { client: () => new Redis({ ...redis, host, port, lazyConnect: true }) };
}
