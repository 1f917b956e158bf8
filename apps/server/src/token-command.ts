import { mintToken } from "@sse/http";
import { readFlags } from "./config.ts";
import { ConfigError, time } from "./setting-values.ts";

const HELP = `Makes a JSON Web Token with SSE_JWT_SECRET, and prints it.

  --subscribe SELECTOR  what its bearer may read; can be repeated
  --publish SELECTOR    where its bearer may publish; can be repeated
  --admin               its bearer may see /stats and /metrics, and use /drain
  --ttl 1h              how long it is good (ms, s, m, h, d)
  --subject NAME        whose it is
  --jwt-issuer NAME     its iss (SSE_JWT_ISSUER)
  --jwt-audience NAME   its aud (SSE_JWT_AUDIENCE)
`;

const OPTIONS = {
  subscribe: { type: "string", multiple: true },
  publish: { type: "string", multiple: true },
  admin: { type: "boolean" },
  ttl: { type: "string", default: "1h" },
  subject: { type: "string" },
  "jwt-issuer": { type: "string" },
  "jwt-audience": { type: "string" },
} as const;

/**
 * `token`: makes a token for a server with the same SSE_JWT_SECRET.
 *
 * @returns what goes to standard output
 * @throws ConfigError (as a rejection) naming the flag or variable that is wrong
 */
export async function tokenCommand(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const flags = readFlags(args, OPTIONS, "token --help lists all flags");
  if (flags.help === true) return HELP;
  const { SSE_JWT_SECRET: secret, SSE_JWT_ISSUER, SSE_JWT_AUDIENCE } = env;
  if (!secret) throw new ConfigError("SSE_JWT_SECRET is not set; it is what the token is signed with");
  const { subscribe, publish, admin, subject } = flags;
  if (subscribe === undefined && publish === undefined && admin === undefined) {
    throw new ConfigError("the token would allow nothing; add --subscribe, --publish or --admin");
  }
  const issuer = flags["jwt-issuer"] ?? (SSE_JWT_ISSUER || undefined);
  const audience = flags["jwt-audience"] ?? (SSE_JWT_AUDIENCE || undefined);
  const ttl = timeToLive(flags.ttl);
  try {
    return `${await mintToken({ secret, ttl, subject, issuer, audience, subscribe, publish, admin })}\n`;
  } catch (error) {
    const { name, message } = error as Error;
    if (name === "HubError") throw new ConfigError(message);
    throw error instanceof TypeError ? new ConfigError(`SSE_JWT_SECRET ${message}`) : error;
  }
}

function timeToLive(text: string): number {
  try {
    return time(text, "--ttl");
  } catch (error) {
    throw new ConfigError(`--ttl ${(error as Error).message}`);
  }
}
