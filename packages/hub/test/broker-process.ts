import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isInstalled } from "./is-installed.ts";

export type BrokerKind = "redis" | "nats";

const PROGRAMS = { redis: "redis-server", nats: "nats-server" } as const;
const FIRST_PORT = 20_000;
const PORTS = 12_000;
/** Test files that run at the same time do not draw from the same ports. */
const SLICES = 16;
const SLICE = Number(process.env.BUN_TEST_WORKER_ID ?? 0) % SLICES;

/** Why tests with this broker are skipped; "" when it is there. */
export function missing(kind: BrokerKind): string {
  return isInstalled(PROGRAMS[kind]) ? "" : ` (skipped: ${PROGRAMS[kind]} is not installed)`;
}

/** Ports that were given out, the newest last: who has one need not listen on it yet. */
const given = new Set<number>();
const MOST_GIVEN = 300;

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(((SLICE + Math.random()) * PORTS) / SLICES);
    if (given.has(port)) continue;
    given.add(port);
    if (given.size > MOST_GIVEN) given.delete(given.values().next().value!);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** A real broker of its own, with its data in a folder of its own, that can be killed, stopped, started again and wiped. */
export class BrokerProcess implements AsyncDisposable {
  readonly kind: BrokerKind;
  readonly port: number;
  readonly folder: string;
  readonly #more: readonly string[];
  #process: ChildProcess | null = null;

  private constructor(kind: BrokerKind, port: number, folder: string, more: readonly string[]) {
    this.kind = kind;
    this.port = port;
    this.folder = folder;
    this.#more = more;
  }

  /** @param more flags of the program */
  static async start(kind: BrokerKind, ...more: string[]): Promise<BrokerProcess> {
    const broker = new BrokerProcess(kind, await freePort(), await mkdtemp(join(tmpdir(), `${kind}-`)), more);
    await broker.start();
    return broker;
  }

  get url(): string {
    return `${this.kind}://127.0.0.1:${this.port}`;
  }

  /** Starts it (again), with the data that are there; returns when it answers. */
  async start(): Promise<void> {
    const own =
      this.kind === "redis"
        ? `--port ${this.port} --bind 127.0.0.1 --dir ${this.folder} --appendonly yes --appendfsync always`.split(
            " ",
          )
        : `-a 127.0.0.1 -p ${this.port} -sd ${this.folder}`.split(" ");
    if (this.kind === "nats" && !this.#more.includes("--no-jetstream")) own.push("-js");
    if (this.kind === "redis") own.push("--save", "");
    const more = this.#more.filter((flag) => flag !== "--no-jetstream");
    this.#process = spawn(PROGRAMS[this.kind], [...own, ...more], { stdio: "ignore" });
    for (let tries = 0; !(await this.#answers()); tries++) {
      if (tries > 4800 || hasEnded(this.#process)) throw new Error(`${PROGRAMS[this.kind]} did not start`);
      await sleep(25);
    }
  }

  /** Redis says PONG, or what it has against us, once it has read its data; NATS greets. */
  async #answers(): Promise<boolean> {
    const socket = connect(this.port, "127.0.0.1");
    try {
      await once(socket, "connect");
      if (this.kind === "redis") socket.write("PING\r\n");
      const text = await Promise.race([
        once(socket, "data").then(([bytes]) => String(bytes)),
        once(socket, "close").then(() => ""),
      ]);
      return text !== "" && !text.startsWith("-LOADING");
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }

  /** Without a chance to say goodbye. */
  async kill(): Promise<void> {
    const child = this.#process!;
    if (hasEnded(child)) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  /** As a machine that hangs: connections stay open, and nobody answers. Each of its threads stops in its own time. */
  async stop(): Promise<void> {
    const { pid } = this.#process!;
    this.#process!.kill("SIGSTOP");
    if (process.platform !== "linux") return;
    const isStopped = async (task: string): Promise<boolean> =>
      /^State:\s+T/m.test(await readFile(`/proc/${pid}/task/${task}/status`, "utf8"));
    while (!(await Promise.all((await readdir(`/proc/${pid}/task`)).map(isStopped))).every(Boolean))
      await sleep(1);
  }

  goOn(): void {
    this.#process!.kill("SIGCONT");
  }

  /** Removes all its data; it must not be running. */
  async wipe(): Promise<void> {
    for (const name of await readdir(this.folder)) await rm(join(this.folder, name), { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true });
  }
}
