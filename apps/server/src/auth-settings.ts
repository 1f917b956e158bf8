import { accessOf, TICKET_DEFAULTS } from "@sse/elysia";
import { ConfigError, count, type Setting, TIME, time, written } from "./setting.ts";

/** Who may do what; see `docs/authentication.md`. */
export interface AuthConfig {
  jwtSecret: string | undefined;
  /** A path. */
  jwtKey: string | undefined;
  /** A URL. */
  jwtJwks: string | undefined;
  jwtIssuer: string | undefined;
  jwtAudience: string | undefined;
  /** A path, or JSON. */
  tokens: string | undefined;
  anonymousSubscribe: string[];
  authCookie: string | undefined;
  /** Milliseconds. */
  ticketTtl: number;
  maxTickets: number;
  maxTicketsPerPrincipal: number;
  allowedHosts: string[];
}

const asItIs = (text: string): string => text;

function selectors(text: string): string[] {
  const list = words(text);
  try {
    accessOf({ subscribe: list });
  } catch (error) {
    throw new ConfigError(`must be selectors, as public/**: ${(error as Error).message}`);
  }
  return list;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

/** RFC 6265, 4.1.1. */
function cookieName(text: string): string {
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/.test(text)) return text;
  throw new ConfigError("must be the name of a cookie");
}

function hosts(text: string): string[] {
  const list = words(text.replaceAll(",", " "));
  const wrong = list.find((host) => !/^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])$/.test(host));
  if (wrong === undefined) return list;
  throw new ConfigError(
    `must be names of hosts without ports, parted by commas, not ${JSON.stringify(wrong)}`,
  );
}

function tokensText(text: string, source: string): string {
  if (!source.startsWith("--") || !text.trim().startsWith("[")) return text;
  throw new ConfigError("must name a file: everybody on this machine can read the arguments of a process");
}

export const AUTH_SETTINGS: readonly Setting<keyof AuthConfig>[] = [
  {
    name: "jwtSecret",
    flag: null,
    env: "SSE_JWT_SECRET",
    placeholder: "(environment only)",
    parse: asItIs,
    help: "secret of 32 bytes or more that JWTs are signed with (HS256)",
  },
  {
    name: "jwtKey",
    flag: "jwt-key",
    env: "SSE_JWT_KEY",
    placeholder: "FILE",
    parse: asItIs,
    help: "public key, as PEM, JWK or JWK set, that JWTs are checked with (RS256, ES256, EdDSA)",
  },
  {
    name: "jwtJwks",
    flag: "jwt-jwks",
    env: "SSE_JWT_JWKS",
    placeholder: "URL",
    parse: asItIs,
    help: "where to get the JWK set that JWTs are checked with",
  },
  {
    name: "jwtIssuer",
    flag: "jwt-issuer",
    env: "SSE_JWT_ISSUER",
    placeholder: "NAME",
    parse: asItIs,
    help: "what a JWT's iss must be",
  },
  {
    name: "jwtAudience",
    flag: "jwt-audience",
    env: "SSE_JWT_AUDIENCE",
    placeholder: "NAME",
    parse: asItIs,
    help: "what a JWT's aud must hold",
  },
  {
    name: "tokens",
    flag: "tokens",
    env: "SSE_TOKENS",
    placeholder: "FILE",
    parse: tokensText,
    help: "JSON list of fixed tokens; the environment may hold the list itself",
  },
  {
    name: "anonymousSubscribe",
    flag: "anonymous-subscribe",
    env: "SSE_ANONYMOUS_SUBSCRIBE",
    placeholder: "SELECTOR",
    fallback: "",
    isList: true,
    parse: selectors,
    help: "what everybody may read without a token; can be repeated",
  },
  {
    name: "authCookie",
    flag: "auth-cookie",
    env: "SSE_AUTH_COOKIE",
    placeholder: "NAME",
    parse: cookieName,
    help: "cookie that may hold the token, for pages of the server's own and of --cors-origins",
  },
  {
    name: "ticketTtl",
    flag: "ticket-ttl",
    env: "SSE_TICKET_TTL",
    fallback: written(TICKET_DEFAULTS.ttl, TIME),
    parse: time,
    help: "how long a ticket waits for its EventSource",
  },
  {
    name: "maxTickets",
    flag: "max-tickets",
    env: "SSE_MAX_TICKETS",
    fallback: String(TICKET_DEFAULTS.maxTickets),
    parse: count,
    help: "most tickets that wait",
  },
  {
    name: "maxTicketsPerPrincipal",
    flag: "max-tickets-per-principal",
    env: "SSE_MAX_TICKETS_PER_PRINCIPAL",
    fallback: String(TICKET_DEFAULTS.maxTicketsPerPrincipal),
    parse: count,
    help: "most tickets of one subject of tokens that wait",
  },
  {
    name: "allowedHosts",
    flag: "allowed-hosts",
    env: "SSE_ALLOWED_HOSTS",
    fallback: "",
    parse: hosts,
    help: "names besides localhost that a server without authentication may be called by, parted by commas",
  },
];

function takesJwts({ jwtSecret, jwtKey, jwtJwks }: AuthConfig): boolean {
  return jwtSecret !== undefined || jwtKey !== undefined || jwtJwks !== undefined;
}

/** Whether anybody has to authenticate. */
export function isAuthenticated(config: AuthConfig): boolean {
  return takesJwts(config) || config.tokens !== undefined;
}

const WAYS = "SSE_JWT_SECRET, --jwt-key, --jwt-jwks or --tokens";

/** @throws ConfigError for settings that contradict each other, or would do nothing */
export function checkAuth(config: AuthConfig & { open: boolean }): void {
  const { jwtSecret, jwtKey, jwtJwks, jwtIssuer, jwtAudience, anonymousSubscribe, authCookie } = config;
  if ([jwtSecret, jwtKey, jwtJwks].filter((each) => each !== undefined).length > 1) {
    throw new ConfigError(
      "SSE_JWT_SECRET, --jwt-key and --jwt-jwks exclude each other; configure one of them",
    );
  }
  if ((jwtIssuer !== undefined || jwtAudience !== undefined) && !takesJwts(config)) {
    throw new ConfigError(
      "--jwt-issuer and --jwt-audience need SSE_JWT_SECRET, --jwt-key or --jwt-jwks: no JWT is taken without",
    );
  }
  if (!isAuthenticated(config)) {
    if (anonymousSubscribe.length > 0)
      throw new ConfigError(`--anonymous-subscribe needs ${WAYS}: without, everybody may read everything`);
    if (authCookie !== undefined) throw new ConfigError(`--auth-cookie needs ${WAYS}`);
  } else if (config.open) {
    throw new ConfigError(
      "--open is for a server where nobody has to authenticate, but authentication is configured; to listen beyond " +
        "this machine, give --host alone",
    );
  }
  if (config.allowedHosts.length > 0 && (config.open || isAuthenticated(config))) {
    throw new ConfigError("--allowed-hosts does nothing with --open or authentication; leave it out");
  }
}
