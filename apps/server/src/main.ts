import { ConfigError, help, readConfig } from "./config.ts";
import { createLogger } from "./logger.ts";
import { type RunningServer, startServer } from "./server.ts";

/** Tells what is wrong in one line, without a stack, and ends. */
function refuse(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(2);
}

function configuration() {
  try {
    return readConfig(process.argv.slice(2), process.env);
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
const logger = createLogger(config.logLevel);
const server = await start();
logger.info("listening", { url: server.url, log: config.log });
if (config.open)
  logger.warn("open to everybody who can reach it: no authentication is configured", { host: config.host });

let stopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stopping) process.exit(1);
    stopping = true;
    logger.info("stopping", { signal, streams: server.hub.stats().streams });
    void server.stop().then(() => {
      logger.info("stopped");
      process.exit(0);
    });
  });
}

async function start(): Promise<RunningServer> {
  try {
    return await startServer(config!, logger);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "EADDRINUSE")
      refuse(`port ${config!.port} is in use; stop what listens there, or choose another with --port`);
    if (code === "EACCES" || code === "EADDRNOTAVAIL")
      refuse(`cannot listen on ${config!.host}:${config!.port}: ${String(error)}`);
    throw error;
  }
}
