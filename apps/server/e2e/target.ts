import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../src/config.ts";
import { createLogger } from "../src/logger.ts";
import { startServer } from "../src/server.ts";
import { makeCertificate } from "./certificate.ts";
import { ServerProcess } from "./server-process.ts";

/** How requests come to the server: as a process of its own, by sockets, or in this process, as what its app is given. */
export type Transport = "HTTP/1.1" | "HTTP/2" | "the handler";

const canUseTls = Bun.which("openssl") !== null;
export const SOCKETS: readonly Transport[] = canUseTls ? ["HTTP/1.1", "HTTP/2"] : ["HTTP/1.1"];
export const TRANSPORTS: readonly Transport[] = [...SOCKETS, "the handler"];

const OF_HANDLER = new Set(["/events", "/publish", "/tickets", "/drain", "/stats", "/healthz", "/readyz"]);

/** Whether a path is there: the handler in another runtime has none of what is only the server's. */
export function isServed(path: string): boolean {
  return Bun.env["SSE_TEST_SERVER"] === undefined || OF_HANDLER.has(path);
}

/** A server that can be sent requests, whatever the transport. */
export interface Target extends AsyncDisposable {
  readonly transport: Transport;
  /** The origin of its pages. */
  readonly url: string;
  readonly port: number;
  /** Of its log. */
  readonly lines: readonly string[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

/** @param env besides the environment that there is: what flags cannot say */
export function start(
  transport: Transport,
  env: Record<string, string> = {},
  ...flags: string[]
): Promise<Target> {
  return transport === "the handler" ? startHandler(env, flags) : startProcess(transport, env, flags);
}

async function startProcess(
  transport: Transport,
  env: Record<string, string>,
  flags: string[],
): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), "sse-target-"));
  try {
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const isTls = transport === "HTTP/2";
    if (isTls) makeCertificate(cert, key);
    const tlsFlags = isTls ? ["--tls-cert", cert, "--tls-key", key] : [];
    const server = await ServerProcess.startWith(env, ...tlsFlags, ...flags);
    const protocol = isTls ? "http2" : "http1.1";
    return {
      transport,
      url: server.url,
      port: server.port,
      lines: server.lines,
      fetch: (path, init) =>
        fetch(`${server.url}${path}`, { ...init, protocol, tls: { rejectUnauthorized: false } }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function startHandler(env: Record<string, string>, flags: string[]): Promise<Target> {
  const lines: string[] = [];
  const defaults = "--port 0 --drain 0s --log memory: --max-lag off".split(" ");
  const config = readConfig([...defaults, ...flags], env)!;
  const server = await startServer(
    config,
    createLogger(config.logLevel, String, (line) => void lines.push(line)),
  );
  const { app, url } = server;
  return {
    transport: "the handler",
    url,
    port: Number(new URL(url).port),
    lines,
    fetch: async (path, init) => {
      const response = await app.handle(new Request(`${url}${path}`, init));
      const signal = init?.signal;
      if (!signal || response.body === null) return response;
      // As a client that hangs up.
      return new Response(response.body.pipeThrough(new TransformStream(), { signal }), response);
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
