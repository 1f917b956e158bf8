import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { createHandler, type ServerContext } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createAuth } from "../src/auth.ts";
import { readConfig } from "../src/config.ts";
import { createLogger } from "../src/logger.ts";
import { openLog } from "../src/open-log.ts";
import { createServed } from "../src/served.ts";
import { tlsOptions } from "../src/tls.ts";

/*
 * The HTTP contract in Node or Deno, set up by the server's own flags: what tests of the server run against is then the handler,
 * without the demos, the page and what else is Elysia's and Bun's.
 */

interface Deno {
  serve(
    options: object,
    handler: (request: Request, context: ServerContext) => Response | Promise<Response>,
  ): { addr: { port: number } };
}

const config = readConfig(process.argv.slice(2), process.env)!;
const logger = createLogger(config.logLevel, String);
const { authorize, tickets } = await createAuth(config, logger, { keysFetched() {} });
const log = await openLog(config, logger);
const { hub, bodies, admission } = createServed(config, logger, log);
const handler = createHandler({
  hub,
  bodies,
  admission,
  authorize,
  tickets,
  origins: config.corsOrigins,
  corsHeaders: config.corsHeaders,
});
const { tls } = tlsOptions(config);
const port = await listen();
logger.info("listening", { url: `${tls === undefined ? "http" : "https"}://localhost:${port}` });

async function listen(): Promise<number> {
  const { host: hostname, port: wanted } = config;
  if ("Deno" in globalThis) {
    const options = { hostname, port: wanted, ...tls, onListen() {} };
    return (globalThis as unknown as { Deno: Deno }).Deno.serve(options, handler).addr.port;
  }
  const listener = toNodeListener(handler);
  const server =
    tls === undefined ? createServer(listener) : createSecureServer({ ...tls, allowHTTP1: true }, listener);
  await new Promise<void>((resolve) => void server.listen(wanted, hostname, resolve));
  return (server.address() as AddressInfo).port;
}
