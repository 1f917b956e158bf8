import { type EventLog, MemoryLog } from "@sse/hub";
import { openNatsLog } from "@sse/hub/nats";
import { openRedisLog } from "@sse/hub/redis";
import { SqliteLog } from "@sse/hub/sqlite";
import { logUrlParts } from "./log-url.ts";
import type { Logger } from "./logger.ts";
import type { Config } from "./settings.ts";

/**
 * The log that the configuration asks for, ready to be used.
 *
 * @throws HubError `log-failed`, without what is secret in the URL, when it cannot be opened
 */
export async function openLog(config: Config, logger: Logger): Promise<EventLog> {
  const { durability, maxLogEvents: maxEvents, maxLogBytes: maxBytes, maxLogAge: maxAge } = config;
  if (config.log === "memory:") return new MemoryLog({ maxEvents, maxBytes, maxAge });
  const broker = logUrlParts(config.log);
  if (broker === null) {
    const log = new SqliteLog(config.log.slice("sqlite:".length), {
      durability,
      maxEvents,
      maxBytes,
      maxAge,
      onFault: (fault) => {
        if (fault === null) logger.info("the log can be written again");
        else logger.error("the log cannot be written: nothing can be published", { fault });
      },
    });
    if (log.begun !== null) {
      logger.warn("a new log has begun: clients that come back are told a gap", { reason: log.begun });
    }
    return log;
  }
  const { protocol, url, params } = broker;
  const options = {
    url,
    prefix: params.get("prefix") ?? undefined,
    maxEvents,
    maxBytes,
    maxAge,
    onFault: (fault: string | null): void => {
      if (fault === null) logger.info("the log is back");
      else logger.warn("the log cannot keep events: nothing can be published", { fault });
    },
    onWarning: (message: string): void => logger.warn(message),
  };
  const log =
    protocol === "nats:"
      ? await openNatsLog({ ...options, replicas: Number(params.get("replicas") || 1) })
      : await openRedisLog({
          ...options,
          waitReplicas: Number(params.get("wait_replicas") ?? 0),
          waitTimeout: Number(params.get("wait_timeout") || 1000),
          redis: sentinelLogin(params),
        });
  tellOfLoss(log, logger);
  return log;
}

function sentinelLogin(params: URLSearchParams): { sentinelUsername?: string; sentinelPassword?: string } {
  const [sentinelUsername, sentinelPassword] = ["username", "password"].map((name) =>
    params.get(`sentinel_${name}`),
  );
  return { ...(sentinelUsername && { sentinelUsername }), ...(sentinelPassword && { sentinelPassword }) };
}

/** Says what else only streams would hear of. */
function tellOfLoss(log: EventLog, logger: Logger): void {
  log.tail({
    append: () => {},
    reset: () =>
      logger.warn("the log was lost, or put back to an earlier state: streams are told a gap", {
        epoch: log.bounds().epoch,
      }),
    skip: () => logger.warn("events were evicted before this node had read them: streams are told a gap"),
  });
}
