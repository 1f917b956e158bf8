import { lookup } from "node:dns/promises";
import { HubError } from "@sse/hub";
import { help, isLocalName, readConfig } from "./config.ts";
import { createLogger } from "./logger.ts";
import { hideSecrets } from "./secrets.ts";
import { type RunningServer, startServer } from "./server.ts";
import { ConfigError } from "./setting-values.ts";
import { tokenCommand } from "./token-command.ts";

const hide = hideSecrets(process.argv.slice(2), process.env);

/** Tells what is wrong in one line, without a stack, and ends. */
function refuse(message: string): never {
  process.stderr.write(`error: ${hide(message)}\n`);
  process.exit(2);
}

/** Tells of what should not have happened, and ends. */
function fail(error: unknown): never {
  process.stderr.write(`${hide(Bun.inspect(error))}\n`);
  process.exit(1);
}

process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);

function configuration() {
  try {
    return readConfig(process.argv.slice(2), process.env);
  } catch (error) {
    if (error instanceof ConfigError) refuse(error.message);
    throw error;
  }
}

if (process.argv[2] === "token") {
  try {
    process.stdout.write(await tokenCommand(process.argv.slice(3), process.env));
    process.exit(0);
  } catch (error) {
    if (error instanceof ConfigError) refuse(error.message);
    throw error;
  }
}
const config = configuration();
if (config === null) {
  process.stdout.write(help());
  process.exit(0);
}
// Whoever read the log has gone: that must not end the server.
process.stdout.on("error", () => {});
const logger = createLogger(config.logLevel, hide);
const server = await start();

/** A terminal signals the whole group, and `bun run` passes the signal on: what comes this soon is the same one again. */
const SAME_SIGNAL = 250;
/** How much longer than the streams the rest may take to stop, in milliseconds: a log that does not answer, for one. */
const LATEST = 10_000;
let stoppingSince = Infinity;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    const now = performance.now();
    if (now - stoppingSince > SAME_SIGNAL) process.exit(1);
    if (stoppingSince !== Infinity) return;
    stoppingSince = now;
    logger.info("stopping", { signal, streams: server.hub.stats().streams });
    setTimeout(() => {
      logger.error("not stopped in time: ends as it is");
      process.exit(1);
    }, config.drain + LATEST);
    void server.stop().then(() => {
      logger.info("stopped");
      process.exit(0);
    });
  });
}

logger.info("listening", { url: server.url, log: config.log });
if (config.open)
  logger.warn("open to everybody who can reach it: no authentication is configured", { host: config.host });
if (config.allowedHosts.some((host) => !isLocalName(host))) {
  logger.warn(
    "open to everybody who can reach what is in front of it by a name of --allowed-hosts: no authentication is configured",
  );
}

async function start(): Promise<RunningServer> {
  try {
    return await startServer(config!, logger);
  } catch (error) {
    if (error instanceof ConfigError) refuse(error.message);
    if (error instanceof HubError) refuse(`cannot open the log that --log names: ${error.message}`);
    const { code, syscall } = error as { code?: string; syscall?: string };
    // Bun gives the code of whatever failed last when a host has no address.
    if (syscall === "getaddrinfo" || (syscall === "listen" && !(await hasAddress(config!.host)))) {
      refuse("cannot listen: the host that --host names has no address");
    }
    if (code === "EADDRINUSE") {
      refuse(`port ${config!.port} is in use; stop what listens there, or choose another with --port`);
    }
    if (syscall === "listen") refuse(`cannot listen on ${config!.host}:${config!.port} (${code})`);
    throw error;
  }
}

async function hasAddress(host: string): Promise<boolean> {
  return await lookup(host).then(
    () => true,
    () => false,
  );
}
