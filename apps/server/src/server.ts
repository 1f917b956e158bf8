import { cors } from "@elysiajs/cors";
import { OTHER_METHODS, sse } from "@sse/elysia";
import { answerErrors, NOSNIFF, otherMethods, problem, requireAdmin, withAccess } from "@sse/http";
import type { Hub } from "@sse/hub";
import { type AnyElysia, Elysia } from "elysia";
import { createAuth } from "./auth.ts";
import { demoRoutes, startDemos } from "./demos.ts";
import { tuneListeningSocket, turnAwayConnections } from "./listening-socket.ts";
import type { Logger } from "./logger.ts";
import { MaximumDurations } from "./maximum-durations.ts";
import { METRICS, Metrics } from "./metrics.ts";
import { openapiRoutes } from "./openapi.ts";
import { openLog } from "./open-log.ts";
import { OverloadWatch } from "./overload-watch.ts";
import { pageRoutes } from "./page.ts";
import { createServed } from "./served.ts";
import type { Config } from "./settings.ts";
import { statsStream } from "./stats-stream.ts";
import { tlsOptions } from "./tls.ts";

/**
 * How long a server that stops still answers, at the least, within --drain, in milliseconds: a balancer sees that it is not
 * ready, and clients that send one request after the other on a connection are told to close it.
 */
const TURNING_AWAY = 1000;
/** How long those who are connecting when that is over may take to be accepted and answered, within --drain, in milliseconds. */
const LAST_COMERS = 500;
/** How long the last answers may take once all streams are closed, in milliseconds. */
const LAST_ANSWERS = 1000;

export interface RunningServer {
  readonly hub: Hub;
  readonly app: AnyElysia;
  readonly url: string;
  /** Tells every stream to come back later, closes them over the time configured, and stops. */
  stop(): Promise<void>;
}

/**
 * Starts the server; resolves when it listens.
 *
 * @throws HubError `log-failed` when the log cannot be opened
 * @throws ConfigError when a file that a setting names is not what it should be, or a key or a token cannot be used
 */
export async function startServer(config: Config, logger: Logger): Promise<RunningServer> {
  const { corsOrigins: origins } = config;
  const metrics = new Metrics();
  const { authorize, tickets } = await createAuth(config, logger, metrics);
  const tls = tlsOptions(config);
  const isTls = tls.tls !== undefined;
  const log = await openLog(config, logger);
  const durations = new MaximumDurations(metrics.observer);
  const overload = new OverloadWatch(config, logger);
  const { hub, bodies, admission } = createServed(config, logger, log, {
    observer: durations,
    overload: overload.current,
    onRefused: metrics.refused,
    onPublished: metrics.published,
  });
  metrics.watch(hub, bodies, () => overload.state);
  const answer = answerErrors(admission);
  const stats = statsStream(admission, { authorize, bodies, origins, durations });
  const app = new Elysia({
    serve: { development: false, reusePort: false },
    // Elysia looks for the path from character 7 on, where that of https has a slash, or from character 11 on.
    handler: { standardHostname: isTls },
  })
    .onRequest(isTls ? [requireLongHost] : [])
    // Each field by its name: Elysia reads the text, and prepares all there is for a handler that takes the whole context.
    .onError(({ code, error, path }) =>
      code === "NOT_FOUND" ? problem(404, `there is nothing at ${path}`) : answer({ error }),
    )
    .use(allowOrigins(config))
    .use(sse({ hub, bodies, origins, authorize, tickets, admission }))
    .get(
      "/metrics",
      ({ request }) =>
        withAccess(authorize, request, async (access) => {
          if (access !== undefined) requireAdmin(access);
          const { body, type } = await metrics.text();
          return new Response(body, { headers: { ...NOSNIFF, "content-type": type } });
        }),
      { detail: METRICS },
    )
    .all("/metrics", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS)
    .use(stats.routes)
    .use(await pageRoutes(config.dev));
  if (!config.noDemos) app.use(demoRoutes(admission, { bodies, origins, authorize }));
  app.use(openapiRoutes(app, config));
  app.listen({
    port: config.port,
    hostname: config.host,
    idleTimeout: Math.ceil(config.idleTimeout / 1000),
    ...tls,
  });
  const server = app.server!;
  tuneListeningSocket(server.port!, config.peerTimeout);
  const stopDemos = config.noDemos ? () => {} : startDemos(hub);

  const stop = async (): Promise<void> => {
    stopDemos();
    stats.stop();
    overload.stop();
    await Promise.all([hub.close({ within: config.drain }), Bun.sleep(Math.min(config.drain, TURNING_AWAY))]);
    turnAwayConnections(server.port!);
    await Bun.sleep(Math.min(config.drain, LAST_COMERS));
    // What is being answered may be finished, but not by a client that takes for ever.
    await Promise.race([server.stop(false), Bun.sleep(Math.min(config.drain, LAST_ANSWERS))]);
    await server.stop(true);
  };
  const { hostname, port } = server;
  const name = hostname === "127.0.0.1" || hostname === "0.0.0.0" ? "localhost" : hostname;
  const scheme = isTls ? "https" : "http";
  return { hub, app, url: `${scheme}://${name?.includes(":") ? `[${name}]` : name}:${port}`, stop };
}

/** Over TLS, Elysia would pass over the first segment of a path where the host has one or two letters. */
function requireLongHost({ request: { url } }: { request: Request }): Response | undefined {
  return url.indexOf("/", "https://".length) < STANDARD_PATH
    ? problem(400, "the host of a request over TLS has three letters at the least")
    : undefined;
}

/** Where Elysia looks for the path: after a host that is no shorter than this. */
const STANDARD_PATH = 11;

/** Cross-origin requests from the origins listed; without any, nothing is said, and browsers refuse them. */
function allowOrigins({ corsOrigins: origins, corsHeaders, authCookie }: Config) {
  if (origins.length === 0) return new Elysia();
  const plugin = cors({
    origin: [...origins],
    methods: ["GET", "POST", "OPTIONS"],
    allowedHeaders: ["Content-Type", "Last-Event-ID", "Authorization", ...corsHeaders],
    exposeHeaders: [],
    credentials: authCookie !== undefined,
    maxAge: 86_400,
  });
  // Its answers to preflights are its own.
  return new Elysia().onRequest(({ set }) => void Object.assign(set.headers, NOSNIFF)).use(plugin);
}
