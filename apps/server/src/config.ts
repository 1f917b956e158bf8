import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { nearestName } from "@sse/http";
import { ConfigError, TIME, written } from "./setting-values.ts";
import { type Config, SETTINGS } from "./settings.ts";

/** The text of `--help`. */
export function help(): string {
  const rows = SETTINGS.map(({ flag, env, fallback, placeholder, help: text, parse }): [string, string] => [
    `  ${flag === null ? env : `--${flag}`}${parse === null ? "" : ` ${fallback || placeholder}`}`,
    flag === null ? text : `${text} (${env})`,
  ]);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return [
    "Server-Sent Events server. Usage: bun run start --port 4000 --heartbeat 10s",
    "Makes a token with SSE_JWT_SECRET: bun run start token --subscribe 'orders/*' --ttl 1h (token --help)",
    "",
    "Flags with their defaults; each can be set in the environment instead. Times take ms, s, m, h or d, sizes B, KiB, MiB",
    "or GiB.",
    "",
    ...rows.map(([left, right]) => left.padEnd(width) + right),
    `${"  --help".padEnd(width)}this text`,
    "",
  ].join("\n");
}

/**
 * Flags, of which `--help` is one.
 *
 * @param hint where all are listed
 * @throws ConfigError for one that is unknown, with the nearest that there is, or has no value
 */
export function readFlags<const Options extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: Options,
  hint: string,
) {
  const all = { ...options, help: { type: "boolean" } } as const;
  try {
    return parseArgs({ args: [...args], options: all }).values;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL")
      throw new ConfigError(`there is an argument that belongs to no flag (${hint})`);
    const names = args.filter((each) => each.startsWith("--")).map((each) => each.slice(2).split("=")[0]!);
    const unknown = names.find((name) => !Object.hasOwn(all, name));
    if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || unknown === undefined)
      throw new ConfigError(`${message.split("\n", 1)[0]} (${hint})`);
    const nearest = nearestName(unknown, Object.keys(all));
    const meant = nearest === null ? "" : `; did you mean --${nearest}?`;
    // What is no word may be a value that was put in the place of a flag.
    const name = /^[a-z-]{1,32}$/.test(unknown) ? ` --${unknown}` : "";
    throw new ConfigError(`unknown flag${name}${meant} (${hint})`);
  }
}

function isOn(text: string | undefined): boolean {
  if (text === undefined || text === "" || text === "0" || text === "false") return false;
  if (text === "1" || text === "true") return true;
  throw new ConfigError('must be "true" or "false"');
}

/**
 * The configuration: flags, then environment, then defaults.
 *
 * @returns null when `--help` was asked for
 * @throws ConfigError naming the setting that is wrong
 */
export function readConfig(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Config | null {
  const options: ParseArgsOptionsConfig = {};
  for (const { flag, parse, isList = false } of SETTINGS) {
    if (flag !== null) options[flag] = { type: parse === null ? "boolean" : "string", multiple: isList };
  }
  const flags = readFlags(args, options, "--help lists all settings");
  if (flags.help === true) return null;
  const values: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  for (const { name, flag, env: variable, fallback, parse, dependsOnLog = false } of SETTINGS) {
    const value = flag === null ? undefined : flags[flag];
    const given = Array.isArray(value) ? value.join(" ") : value;
    const source = (sources[name] = given === undefined ? variable : `--${flag}`);
    try {
      if (parse === null) values[name] = given === true || isOn(env[variable]);
      else {
        const text = given ?? (env[variable] || (dependsOnLog ? undefined : fallback));
        values[name] = text === undefined ? undefined : parse(String(text), source);
      }
    } catch (error) {
      if (error instanceof ConfigError) throw new ConfigError(`${source} ${error.message}`);
      throw error;
    }
  }
  const config = values as Config;
  if (config.open && flags.host === undefined && !env.HOST) config.host = "0.0.0.0";
  const wrong = contradictions(config, sources).find(([is]) => is);
  if (wrong !== undefined) throw new ConfigError(wrong[1]);
  return config;
}

/** Whether anybody has to authenticate. */
export function isAuthenticated(config: Config): boolean {
  return takesJwts(config) || config.tokens !== undefined;
}

function takesJwts({ jwtSecret, jwtKey, jwtJwks }: Config): boolean {
  return jwtSecret !== undefined || jwtKey !== undefined || jwtJwks !== undefined;
}

/** Whether a name is one of this machine, to this machine itself. */
export function isLocalName(host: string): boolean {
  return LOOPBACK.test(host) || /^([\w-]+\.)*localhost$|^\[::1\]$/i.test(host);
}

const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3}|::1)$/;
const WAYS = "SSE_JWT_SECRET, --jwt-key, --jwt-jwks or --tokens";

/** Settings that contradict each other, or would do nothing: what is the matter where it is so. */
function contradictions(
  config: Config,
  sources: Readonly<Record<string, string>>,
): (readonly [boolean, string])[] {
  const { maxEventBytes, maxBodyBytes, peerTimeout, writeDeadline, idleTimeout, heartbeat } = config;
  const { durability, log, open, host, http3, tlsCert, tlsKey } = config;
  const hasJwts = takesJwts(config);
  const hasAuth = isAuthenticated(config);
  const keys = [config.jwtSecret, config.jwtKey, config.jwtJwks].filter((each) => each !== undefined);
  return [
    [
      maxEventBytes > maxBodyBytes,
      `--max-event-bytes ${maxEventBytes} can never be reached with --max-body-bytes ${maxBodyBytes}`,
    ],
    [
      config.maxBodiesBytes < 2 * maxBodyBytes,
      `--max-bodies-bytes ${config.maxBodiesBytes} has no room for two bodies of --max-body-bytes ${maxBodyBytes}`,
    ],
    [
      durability !== undefined && !log.startsWith("sqlite:"),
      `${sources.durability} is of a log in a SQLite file, and the log is ${log}; leave it out`,
    ],
    [keys.length > 1, "SSE_JWT_SECRET, --jwt-key and --jwt-jwks exclude each other; configure one of them"],
    [
      (config.jwtIssuer !== undefined || config.jwtAudience !== undefined) && !hasJwts,
      "--jwt-issuer and --jwt-audience need SSE_JWT_SECRET, --jwt-key or --jwt-jwks: no JWT is taken without",
    ],
    [
      config.anonymousSubscribe.length > 0 && !hasAuth,
      `--anonymous-subscribe needs ${WAYS}: without, everybody may read everything`,
    ],
    [config.authCookie !== undefined && !hasAuth, `--auth-cookie needs ${WAYS}`],
    [
      open && hasAuth,
      "--open is for a server where nobody has to authenticate, but authentication is configured; to listen beyond " +
        "this machine, give --host alone",
    ],
    [
      config.allowedHosts.length > 0 && (open || hasAuth),
      "--allowed-hosts does nothing with --open or authentication; leave it out",
    ],
    [
      peerTimeout !== null && writeDeadline !== null && peerTimeout < writeDeadline,
      `--peer-timeout ${written(peerTimeout, TIME)} is shorter than --write-deadline ${written(writeDeadline, TIME)}, ` +
        "which could never be reached",
    ],
    [
      (tlsCert === undefined) !== (tlsKey === undefined),
      "--tls-cert and --tls-key are of use together only; give the other one too",
    ],
    [
      http3 && tlsCert === undefined,
      "--http3 needs --tls-cert and --tls-key: there is no HTTP/3 without TLS",
    ],
    [
      http3 && (heartbeat === null || heartbeat >= idleTimeout),
      `--http3 needs a --heartbeat that is shorter than --idle-timeout ${written(idleTimeout, TIME)}, ` +
        "after which its connections end when nothing was sent",
    ],
    [
      !open && !hasAuth && !LOOPBACK.test(host),
      `${sources.host} would let everybody who reaches this machine publish and read; ` +
        "configure authentication (SSE_JWT_SECRET, --jwt-key, --jwt-jwks or --tokens), add --open if that is what you " +
        "want, or stay on 127.0.0.1",
    ],
  ];
}
