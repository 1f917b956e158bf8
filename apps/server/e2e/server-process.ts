import type { Subprocess } from "bun";

const MAIN = new URL("../src/main.ts", import.meta.url).pathname;
/** The command of the server: it can be that of the handler in another runtime, see `portable-server.ts`. */
const SERVER = Bun.env["SSE_TEST_SERVER"]?.split(" ") ?? ["bun", MAIN];

/** A busy machine may well be late: no reason to send a test's streams away. */
const DEFAULTS = "--port 0 --drain 100ms --log memory: --max-lag off".split(" ");

/** The server as its users run it: a process of its own, stopped when it goes out of scope. */
export class ServerProcess implements AsyncDisposable {
  readonly url: string;
  readonly process: Subprocess;
  readonly lines: string[];

  private constructor(url: string, process: Subprocess, lines: string[]) {
    this.url = url;
    this.process = process;
    this.lines = lines;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** @param flags in place of the defaults: a free port, no time to drain, a log in memory, any lateness */
  static start(...flags: string[]): Promise<ServerProcess> {
    return ServerProcess.startWith({}, ...flags);
  }

  /** @param env besides the environment that there is: what flags cannot say */
  static startWith(env: Record<string, string>, ...flags: string[]): Promise<ServerProcess> {
    return ServerProcess.#spawn(env, [...SERVER, ...DEFAULTS, ...flags]);
  }

  /** @param command which runs what follows it, in place of itself */
  static startUnder(command: readonly string[], ...flags: string[]): Promise<ServerProcess> {
    return ServerProcess.#spawn({}, [...command, ...SERVER, ...DEFAULTS, ...flags]);
  }

  static async #spawn(env: Record<string, string>, command: string[]): Promise<ServerProcess> {
    const lines: string[] = [];
    const listening = Promise.withResolvers<string>();
    const process = Bun.spawn(command, {
      stdout: "pipe",
      stderr: "inherit",
      env: { ...Bun.env, NO_COLOR: "1", ...env },
    });
    void (async () => {
      const decoder = new TextDecoder();
      let text = "";
      for await (const chunk of process.stdout) {
        text += decoder.decode(chunk, { stream: true });
        const complete = text.split("\n");
        text = complete.pop()!;
        for (const line of complete) {
          lines.push(line);
          const { message, url } = JSON.parse(line) as { message: string; url: string };
          if (message === "listening") listening.resolve(url);
        }
      }
      listening.reject(new Error(`the server ended before it listened: ${lines.join("\n")}`));
    })();
    return new ServerProcess(await listening.promise, process, lines);
  }

  /** Kills the process without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }

  /** Resident memory, in bytes. */
  async memory(): Promise<number> {
    const status = await Bun.file(`/proc/${this.process.pid}/status`).text();
    return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)![1]) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }
}

/** Runs the server, on a free port, until it ends, or says what it is waited for and is told to end. */
export async function runServer(
  args: string[],
  env: Record<string, string> = {},
  { cwd, until }: { cwd?: string; until?: string } = {},
): Promise<{ code: number; out: string; error: string }> {
  const process = Bun.spawn(["bun", MAIN, ...args], {
    env: { ...Bun.env, PORT: "0", SSE_LOG: "memory:", ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdout: "pipe",
    stderr: "pipe",
  });
  const read = async (): Promise<string> => {
    let out = "";
    for await (const chunk of process.stdout) {
      out += new TextDecoder().decode(chunk);
      if (until !== undefined && out.includes(until)) process.kill("SIGTERM");
    }
    return out;
  };
  const [code, out, error] = await Promise.all([process.exited, read(), process.stderr.text()]);
  return { code, out, error };
}
