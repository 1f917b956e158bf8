import { inspect } from "node:util";
import { Admission, type AdmissionOptions, RequestBodies } from "@sse/http";
import { createHub, type EventLog, type Hub, type HubObserver } from "@sse/hub";
import type { Logger } from "./logger.ts";
import type { Config } from "./settings.ts";

/** What is served, as the configuration says. */
export interface Served {
  readonly hub: Hub;
  readonly bodies: RequestBodies;
  readonly admission: Admission;
}

/** Who is told of what is served. */
type Observers = Pick<AdmissionOptions, "overload" | "onRefused" | "onPublished"> & {
  readonly observer?: HubObserver;
};

export function createServed(
  config: Config,
  logger: Logger,
  log: EventLog,
  { observer, ...observers }: Observers = {},
): Served {
  const hub = createHub({
    log,
    ...(observer && { observer }),
    heartbeat: config.heartbeat,
    retry: config.retry,
    writeDeadline: config.writeDeadline,
    maxEventBytes: config.maxEventBytes,
    maxBatch: config.maxBatch,
    maxSelectors: config.maxSelectors,
    maxStreams: config.maxStreams,
    maxStreamsPerAddress: config.maxStreamsPerAddress,
    maxStreamsPerPrincipal: config.maxStreamsPerPrincipal,
    maxStreamsPerTopic: config.maxStreamsPerTopic,
    maxAge: config.maxAge,
    returnWindow: config.returnWindow,
    onError: (error) =>
      logger.error("a stream, the log or an observer has failed", { error: inspect(error) }),
    onClose: ({ opened, events, bytes, cohort }, reason) => {
      const seconds = Math.round(performance.now() - opened) / 1000;
      logger.debug("stream closed", { reason, seconds, events, bytes, topics: cohort.selectors.key });
    },
  });
  const bodies = new RequestBodies({
    maxBodyBytes: config.maxBodyBytes,
    maxBytesInFlight: config.maxBodiesBytes,
    timeout: config.bodyTimeout,
  });
  const admission = new Admission(hub, {
    ...observers,
    trustedProxies: config.trustedProxies,
    onDisregardedProxy: (peer) =>
      logger.warn(
        "X-Forwarded-For is not believed: its sender is not in --trusted-proxies; if it is a proxy, all its clients count as one",
        { peer },
      ),
    publishRate: config.publishRate,
    onError: (error) => logger.error("a request has failed", { error: inspect(error) }),
  });
  return { hub, bodies, admission };
}
