import { connect } from "node:net";
import type { RunningPeer } from "./peer.ts";

/** How long a server may take from its start until it accepts connections. */
const START_LIMIT = 60_000;
const POLL_INTERVAL = 10;
/** How long a server that is asked to end may take before it is killed. */
const STOP_LIMIT = 60_000;

interface ServerCommand {
  readonly command: readonly string[];
  /** In addition to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: no more than the process that was started. */
  readonly pids?: (pid: number) => Promise<readonly number[]>;
  /** SIGTERM for a server that has children to end. Default: SIGKILL, because nobody is there to say goodbye to. */
  readonly stopSignal?: "SIGTERM" | "SIGKILL";
  /** True: `/publish` takes JSON too. */
  readonly takesJson?: boolean;
  /** Runs after the server has ended. */
  readonly cleanUp?: () => Promise<void>;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const settle = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", settle(true)).once("error", settle(false));
  });
}

/**
 * Starts a server, and resolves when it accepts connections on the port. All peers have the same two endpoints; those
 * without topics ignore the query.
 *
 * @throws Error when the port is in use, or the server ends or does not listen in time
 */
export async function startServer(port: number, options: ServerCommand): Promise<RunningPeer> {
  const { command, env, pids, stopSignal = "SIGKILL", takesJson = false, cleanUp } = options;
  if (await accepts(port)) throw new Error(`port ${port} is in use`);
  const server = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
    env: { ...Bun.env, NODE_ENV: "production", ...env },
  });
  const stop = async (): Promise<void> => {
    server.kill(stopSignal);
    const timer = setTimeout(() => server.kill("SIGKILL"), STOP_LIMIT);
    await server.exited;
    clearTimeout(timer);
    await cleanUp?.();
  };
  const deadline = performance.now() + START_LIMIT;
  while (!(await accepts(port))) {
    if (server.exitCode === null && server.signalCode === null && performance.now() < deadline) {
      await Bun.sleep(POLL_INTERVAL);
      continue;
    }
    await stop();
    throw new Error(`${command.join(" ")} ended with ${server.exitCode}, or did not listen on port ${port}`);
  }
  const origin = `http://127.0.0.1:${port}`;
  return {
    pids: (await pids?.(server.pid)) ?? [server.pid],
    eventsUrl: (topic) => `${origin}/events?topic=${encodeURIComponent(topic)}`,
    publish: (topic) => ({
      url: `${origin}/publish?topic=${encodeURIComponent(topic)}`,
      headers: { "content-type": "text/plain" },
      body: (data) => data,
    }),
    jsonUrl: takesJson ? `${origin}/publish` : null,
    [Symbol.asyncDispose]: stop,
  };
}
