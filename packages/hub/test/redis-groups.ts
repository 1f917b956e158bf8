import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { BrokerProcess, freePort } from "./broker-process.ts";
import { until } from "./until.ts";

/* Several servers of Redis that are one: what Sentinel, and a Cluster, need to take over from a server that dies. */

const HOST = "127.0.0.1";

/** How soon a server that does not answer is taken for dead, in milliseconds. */
const DOWN_AFTER = 700;

/** A client to look at one server, and to give it orders. It fails when that is dead. */
export function adminOf({ port }: { port: number }, password?: string): Redis {
  const login = password === undefined ? {} : { password };
  const redis = new Redis({ host: HOST, port, ...login, protocol: 2, retryStrategy: null });
  redis.on("error", () => {});
  return redis;
}

/** What a server answers to a command. */
export async function ask(
  server: { port: number },
  password: string | undefined,
  command: string,
  ...args: string[]
): Promise<unknown> {
  const redis = adminOf(server, password);
  try {
    return await redis.call(command, args);
  } finally {
    redis.disconnect();
  }
}

/** A primary, its replicas, and the sentinels that watch it, each with a password. */
export class SentinelGroup implements AsyncDisposable {
  static readonly password = "secret of redis";
  static readonly sentinelPassword = "secret of sentinels";
  readonly servers: readonly BrokerProcess[];
  readonly sentinels: readonly Sentinel[];

  private constructor(servers: readonly BrokerProcess[], sentinels: readonly Sentinel[]) {
    this.servers = servers;
    this.sentinels = sentinels;
  }

  /** Two replicas, three sentinels, of which two have to agree. */
  static async start(): Promise<SentinelGroup> {
    const { password } = SentinelGroup;
    const flags = ["--requirepass", password, "--masterauth", password, "--repl-diskless-sync-delay", "0"];
    const primary = await BrokerProcess.start("redis", ...flags);
    const replicaOf = ["--replicaof", HOST, String(primary.port), ...flags];
    const replicas = await Promise.all([1, 2].map(() => BrokerProcess.start("redis", ...replicaOf)));
    const sentinels = await Promise.all([1, 2, 3].map(() => Sentinel.start(primary.port)));
    const group = new SentinelGroup([primary, ...replicas], sentinels);
    await until(async () => (await Promise.all(sentinels.map((each) => each.sees()))).every(Boolean));
    return group;
  }

  /** The server that the sentinels call the primary, and that calls itself so. */
  async primary(): Promise<BrokerProcess> {
    let found: BrokerProcess | undefined;
    await until(async () => {
      const ports = await Promise.all(this.sentinels.map((each) => each.primaryPort()));
      found = this.servers.find(({ port }) => ports.every((each) => each === port));
      return found !== undefined && (await this.roleOf(found)) === "master";
    });
    return found!;
  }

  async roleOf(server: BrokerProcess): Promise<string> {
    const role = (await ask(server, SentinelGroup.password, "ROLE").catch(() => [""])) as [string];
    return role[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of [...this.sentinels, ...this.servers]) await each[Symbol.asyncDispose]();
  }
}

/** A sentinel, which writes what it finds out into its configuration. */
export class Sentinel implements AsyncDisposable {
  readonly port: number;
  readonly folder: string;
  readonly process: ChildProcess;

  private constructor(port: number, folder: string, process: ChildProcess) {
    this.port = port;
    this.folder = folder;
    this.process = process;
  }

  static async start(primaryPort: number): Promise<Sentinel> {
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), "sentinel-"));
    const file = join(folder, "sentinel.conf");
    await writeFile(
      file,
      `port ${port}
bind ${HOST}
dir ${folder}
requirepass "${SentinelGroup.sentinelPassword}"
sentinel sentinel-pass "${SentinelGroup.sentinelPassword}"
sentinel monitor primary ${HOST} ${primaryPort} 2
sentinel auth-pass primary "${SentinelGroup.password}"
sentinel down-after-milliseconds primary ${DOWN_AFTER}
sentinel failover-timeout primary 3000
`,
    );
    return new Sentinel(port, folder, spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" }));
  }

  async #ask(...args: string[]): Promise<unknown> {
    return await ask(this, SentinelGroup.sentinelPassword, "SENTINEL", ...args);
  }

  async primaryPort(): Promise<number> {
    const address = (await this.#ask("get-master-addr-by-name", "primary").catch(() => null)) as
      string[] | null;
    return Number(address?.[1]);
  }

  /** Whether it knows the others, and the replicas. */
  async sees(): Promise<boolean> {
    const master = (await this.#ask("master", "primary").catch(() => [])) as string[];
    const value = (name: string): string | undefined => master[master.indexOf(name) + 1];
    return value("num-slaves") === "2" && value("num-other-sentinels") === "2" && value("flags") === "master";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Three primaries with a third of the slots each, and a replica of each. */
export class ClusterGroup implements AsyncDisposable {
  readonly servers: readonly BrokerProcess[];

  private constructor(servers: readonly BrokerProcess[]) {
    this.servers = servers;
  }

  static async start(): Promise<ClusterGroup> {
    const flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", String(DOWN_AFTER)];
    const start = async (): Promise<BrokerProcess> => {
      const bus = ["--cluster-port", String(await freePort())]; // not 10,000 above: that may be another test's
      return await BrokerProcess.start("redis", ...flags, ...bus, "--repl-diskless-sync-delay", "0");
    };
    const servers = await Promise.all(Array.from({ length: 6 }, start));
    const addresses = servers.map(({ port }) => `${HOST}:${port}`);
    const make = ["--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes"];
    execFileSync("redis-cli", make, { stdio: "ignore" });
    const group = new ClusterGroup(servers);
    const isReady = async (server: BrokerProcess): Promise<boolean> =>
      String(await ask(server, undefined, "CLUSTER", "INFO")).includes("cluster_state:ok");
    await until(async () => (await Promise.all(servers.map(isReady))).every(Boolean));
    return group;
  }

  get nodes(): { host: string; port: number }[] {
    return this.servers.map(({ port }) => ({ host: HOST, port }));
  }

  get url(): string {
    return `redis+cluster://${this.nodes.map(({ host, port }) => `${host}:${port}`).join()}`;
  }

  async slotOf(key: string): Promise<number> {
    return (await ask(this.servers[0]!, undefined, "CLUSTER", "KEYSLOT", key)) as number;
  }

  /** As one of the nodes sees it that live. */
  async primaryOf(slot: number): Promise<BrokerProcess> {
    for (const server of this.servers) {
      const slots = (await ask(server, undefined, "CLUSTER", "SLOTS").catch(() => [])) as [
        number,
        number,
        [string, number],
      ][];
      const range = slots.find(([first, last]) => first <= slot && slot <= last);
      if (range !== undefined) return this.servers.find(({ port }) => port === range[2][1])!;
    }
    throw new Error("no node has the slot");
  }

  async replicaOf(primary: BrokerProcess): Promise<BrokerProcess> {
    const [, , replicas] = (await ask(primary, undefined, "ROLE")) as [string, number, [string, string][]];
    return this.servers.find(({ port }) => replicas.some(([, each]) => each === String(port)))!;
  }

  async idOf(server: BrokerProcess): Promise<string> {
    return (await ask(server, undefined, "CLUSTER", "MYID")) as string;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.servers) await each[Symbol.asyncDispose]();
  }
}
