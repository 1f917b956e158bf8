import { readFile } from "node:fs/promises";
import {
  type Authorize,
  createAuthorize,
  createJwtVerifier,
  type JwtKey,
  localOnly,
  readKey,
  readTokens,
  remoteKeys,
  secretKey,
  Tickets,
} from "@sse/http";
import { isAuthenticated } from "./config.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import { ConfigError } from "./setting-values.ts";
import type { Config } from "./settings.ts";

export interface Auth {
  /** Undefined with `--open`: everybody may do everything. */
  readonly authorize: Authorize | undefined;
  readonly tickets: Tickets | undefined;
}

/**
 * What the configuration says about who may do what.
 *
 * @throws ConfigError naming the setting whose key or tokens cannot be used
 */
export async function createAuth(
  config: Config,
  logger: Logger,
  metrics: Pick<Metrics, "keysFetched">,
): Promise<Auth> {
  if (config.open) return { authorize: undefined, tickets: undefined };
  if (!isAuthenticated(config)) return { authorize: localOnly(config.allowedHosts), tickets: undefined };
  const { jwtIssuer: issuer, jwtAudience: audience, anonymousSubscribe, corsOrigins: origins } = config;
  const key = await keyOf(config, (failure) => {
    metrics.keysFetched(failure === null);
    if (failure === null) return;
    const { message, name } = failure;
    logger.warn("the key set cannot be had; keys that were fetched before are used for a day", {
      error: `${name}: ${message}`,
    });
  });
  const tickets = new Tickets({
    ttl: config.ticketTtl,
    maxTickets: config.maxTickets,
    maxTicketsPerPrincipal: config.maxTicketsPerPrincipal,
  });
  const authorize = createAuthorize({
    jwt: key === undefined ? undefined : createJwtVerifier({ key, issuer, audience }),
    tokens: config.tokens === undefined ? [] : await tokensOf(config.tokens),
    tickets,
    cookie: config.authCookie,
    origins,
    anonymousSubscribe,
  });
  return { authorize, tickets };
}

async function keyOf(
  { jwtSecret, jwtKey, jwtJwks }: Config,
  onFetch: (failure: Error | null) => void,
): Promise<JwtKey | undefined> {
  if (jwtSecret !== undefined) return await naming("SSE_JWT_SECRET", () => secretKey(jwtSecret));
  if (jwtJwks !== undefined)
    return await naming(`--jwt-jwks ${jwtJwks}`, () => remoteKeys(jwtJwks, { onFetch }));
  if (jwtKey === undefined) return undefined;
  return await naming(`--jwt-key ${jwtKey}`, async () => readKey(await read(jwtKey)));
}

function tokensOf(given: string): Promise<ReturnType<typeof readTokens>> {
  if (given.trim().startsWith("[")) return naming("SSE_TOKENS", () => readTokens(given));
  return naming(`--tokens ${given}`, async () => readTokens(await read(given)));
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new TypeError(`cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error });
  }
}

async function naming<T>(setting: string, make: () => T | Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof TypeError) throw new ConfigError(`${setting} ${error.message}`);
    throw error;
  }
}
