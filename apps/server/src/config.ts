import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { HUB_DEFAULTS, MEMORY_LOG_DEFAULTS } from "@sse/hub";
import { type Durability, SQLITE_LOG_DEFAULTS } from "@sse/hub/sqlite";
import { MAX_BODY_BYTES } from "@sse/elysia";
import { AUTH_SETTINGS, type AuthConfig, checkAuth, isAuthenticated } from "./auth-settings.ts";
import {
  ConfigError,
  count,
  oneOf,
  orOff,
  headerNames,
  origins,
  type Setting,
  SIZE,
  size,
  TIME,
  time,
  timeOrNone,
  written,
} from "./setting.ts";
import { checkLimits, LIMIT_SETTINGS, type LimitConfig } from "./limit-settings.ts";
import { logUrlFault, withoutSecrets } from "./log-url.ts";
import { LOG_LEVELS, type LogLevel } from "./logger.ts";

/** Times are in milliseconds; `null` is off. */
export interface Config extends AuthConfig, LimitConfig {
  port: number;
  host: string;
  open: boolean;
  log: string;
  /** Undefined: the default of the log in a file. */
  durability: Durability | undefined;
  /** Undefined: the log's own default. */
  maxLogEvents: number | null | undefined;
  maxLogBytes: number | null | undefined;
  maxLogAge: number | null | undefined;
  heartbeat: number | null;
  retry: number;
  writeDeadline: number | null;
  maxEventBytes: number;
  maxBodyBytes: number;
  corsOrigins: string[];
  corsHeaders: string[];
  /** Files; both or none. */
  tlsCert: string | null;
  tlsKey: string | null;
  http3: boolean;
  demos: boolean;
  dev: boolean;
  drain: number;
  logLevel: LogLevel;
}

function port(text: string): number {
  if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new ConfigError("must be a port number from 0 (any free one) to 65535");
}

function logUrl(text: string): string {
  const wrong = logUrlFault(text);
  if (wrong !== null) throw new ConfigError(wrong);
  return text.startsWith("sqlite:") ? `sqlite:${resolve(text.slice("sqlite:".length))}` : text;
}

/** The name of a file; "" for none. */
function file(text: string): string | null {
  return text === "" ? null : text;
}

/** Every setting: the order is that of `--help`. */
export const SETTINGS: readonly Setting<keyof Config>[] = [
  {
    name: "port",
    flag: "port",
    env: "PORT",
    fallback: "3000",
    parse: port,
    help: "port to listen on, 0 for any free one",
  },
  {
    name: "host",
    flag: "host",
    env: "HOST",
    fallback: "127.0.0.1",
    parse: (text) => text,
    help: "address to listen on",
  },
  {
    name: "open",
    flag: "open",
    env: "SSE_OPEN",
    help: "listen beyond this machine although nobody has to authenticate",
  },
  {
    name: "log",
    flag: "log",
    env: "SSE_LOG",
    fallback: "sqlite:./data/events.db",
    parse: logUrl,
    help: "where events are kept: sqlite:PATH, memory: for as long as the process lives, or for several nodes redis://host:6379 or nats://host:4222 (docs/scaling.md)",
  },
  {
    name: "durability",
    flag: "durability",
    env: "SSE_DURABILITY",
    isOwn: true,
    fallback: "normal",
    parse: oneOf<Durability>(["full", "normal", "off"]),
    help: "what events in a file survive: a loss of power (full), or the end of the process (normal, off)",
  },
  {
    name: "maxLogEvents",
    flag: "max-log-events",
    env: "SSE_MAX_LOG_EVENTS",
    isOwn: true,
    fallback: String(SQLITE_LOG_DEFAULTS.maxEvents),
    parse: orOff(count),
    help: `most events in the log, or off; default ${MEMORY_LOG_DEFAULTS.maxEvents} when the log is no SQLite file`,
  },
  {
    name: "maxLogBytes",
    flag: "max-log-bytes",
    env: "SSE_MAX_LOG_BYTES",
    isOwn: true,
    fallback: written(SQLITE_LOG_DEFAULTS.maxBytes, SIZE),
    parse: orOff(size),
    help: `most bytes in the log, or off; default ${written(MEMORY_LOG_DEFAULTS.maxBytes, SIZE)} when the log is no SQLite file`,
  },
  {
    name: "maxLogAge",
    flag: "max-log-age",
    env: "SSE_MAX_LOG_AGE",
    isOwn: true,
    fallback: written(SQLITE_LOG_DEFAULTS.maxAge, TIME),
    parse: orOff(time),
    help: `how long the log keeps an event, or off; default ${written(MEMORY_LOG_DEFAULTS.maxAge, TIME)} when the log is no SQLite file`,
  },
  {
    name: "heartbeat",
    flag: "heartbeat",
    env: "SSE_HEARTBEAT",
    fallback: written(HUB_DEFAULTS.heartbeat, TIME),
    parse: orOff(time),
    help: "longest silence on a stream, or off",
  },
  {
    name: "retry",
    flag: "retry",
    env: "SSE_RETRY",
    fallback: written(HUB_DEFAULTS.retry, TIME),
    parse: time,
    help: "when clients reconnect, spread from half to one and a half times this",
  },
  {
    name: "writeDeadline",
    flag: "write-deadline",
    env: "SSE_WRITE_DEADLINE",
    fallback: written(HUB_DEFAULTS.writeDeadline, TIME),
    parse: orOff(time),
    help: "how long a stream may be blocked before it is closed, or off",
  },
  {
    name: "maxEventBytes",
    flag: "max-event-bytes",
    env: "SSE_MAX_EVENT_BYTES",
    fallback: written(HUB_DEFAULTS.maxEventBytes, SIZE),
    parse: size,
    help: "most bytes of data in one event",
  },
  {
    name: "maxBodyBytes",
    flag: "max-body-bytes",
    env: "SSE_MAX_BODY_BYTES",
    fallback: written(MAX_BODY_BYTES, SIZE),
    parse: size,
    help: "most bytes in the body of a request",
  },
  ...LIMIT_SETTINGS,
  {
    name: "corsOrigins",
    flag: "cors-origins",
    env: "SSE_CORS_ORIGINS",
    fallback: "",
    parse: origins,
    help: "origins whose pages may read and publish, parted by commas",
  },
  {
    name: "corsHeaders",
    flag: "cors-headers",
    env: "SSE_CORS_HEADERS",
    fallback: "",
    parse: headerNames,
    help: "request headers that their pages may send besides Content-Type, Last-Event-ID and Authorization",
  },
  ...AUTH_SETTINGS,
  {
    name: "tlsCert",
    flag: "tls-cert",
    env: "SSE_TLS_CERT",
    fallback: "",
    parse: file,
    placeholder: "FILE",
    help: "file with the certificate chain, for https with HTTP/2 and HTTP/1.1; default none, http",
  },
  {
    name: "tlsKey",
    flag: "tls-key",
    env: "SSE_TLS_KEY",
    fallback: "",
    parse: file,
    placeholder: "FILE",
    help: "file with the key of the certificate",
  },
  {
    name: "http3",
    flag: "http3",
    env: "SSE_HTTP3",
    help: "offer HTTP/3 too, on the same port of UDP, an experiment of Bun; browsers remember it for a day",
  },
  { name: "demos", flag: "no-demos", env: "SSE_NO_DEMOS", help: "leave out the demo topics and endpoints" },
  { name: "dev", flag: "dev", env: "SSE_DEV", help: "bundle the page anew at each visit, for work on it" },
  {
    name: "drain",
    flag: "drain",
    env: "SSE_DRAIN",
    fallback: "5s",
    parse: timeOrNone,
    help: "time over which streams are closed at SIGTERM; 0s is at once",
  },
  {
    name: "logLevel",
    flag: "log-level",
    env: "SSE_LOG_LEVEL",
    fallback: "info",
    parse: oneOf(LOG_LEVELS),
    help: `${LOG_LEVELS.join(", ")}; debug has a line for every stream that closes`,
  },
];

/** The text of `--help`. */
export function help(): string {
  const rows = SETTINGS.map(
    ({ flag, env, fallback, placeholder = "LIST", help: text, parse }): [string, string] => [
      `  ${flag === null ? env : `--${flag}`}${parse === undefined ? "" : ` ${fallback || placeholder}`}`,
      flag === null ? text : `${text} (${env})`,
    ],
  );
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

const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3}|::1)$/;

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
  const options = Object.fromEntries(
    SETTINGS.filter(({ flag }) => flag !== null).map(({ flag, parse, isList = false }) => [
      flag,
      { type: parse === undefined ? ("boolean" as const) : ("string" as const), multiple: isList },
    ]),
  );
  let flags: Record<string, string | boolean | (string | boolean)[] | undefined>;
  try {
    flags = parseArgs({ args: [...args], options: { ...options, help: { type: "boolean" } } }).values;
  } catch (error) {
    throw new ConfigError(`${(error as Error).message} (--help lists all settings)`);
  }
  if (flags.help === true) return null;
  const config: Record<string, unknown> = {};
  for (const { name, flag, env: variable, fallback, parse, isOwn } of SETTINGS) {
    const value = flag === null ? undefined : flags[flag];
    const given = Array.isArray(value) ? value.join(" ") : value;
    const source = given === undefined ? variable : `--${flag}`;
    try {
      if (parse === undefined) config[name] = given === true || isOn(env[variable]);
      else {
        const text = given ?? (env[variable] || (isOwn === true ? undefined : fallback));
        config[name] = text === undefined ? undefined : parse(String(text), source);
      }
    } catch (error) {
      if (error instanceof ConfigError) throw new ConfigError(`${source} ${error.message}`);
      throw error;
    }
  }
  config.demos = config.demos !== true; // its flag is --no-demos
  const result = config as unknown as Config;
  if (result.maxEventBytes > result.maxBodyBytes) {
    throw new ConfigError(
      `--max-event-bytes ${result.maxEventBytes} can never be reached with --max-body-bytes ${result.maxBodyBytes}`,
    );
  }
  if (result.durability !== undefined && !result.log.startsWith("sqlite:")) {
    const source = flags.durability === undefined ? "SSE_DURABILITY=" : "--durability ";
    throw new ConfigError(
      `${source}${result.durability} is of a log in a SQLite file, and the log is ${withoutSecrets(result.log)}; leave it out`,
    );
  }
  checkAuth(result);
  checkLimits(result);
  if ((result.tlsCert === null) !== (result.tlsKey === null)) {
    throw new ConfigError("--tls-cert and --tls-key are of use together only; give the other one too");
  }
  if (result.http3 && result.tlsCert === null) {
    throw new ConfigError("--http3 needs --tls-cert and --tls-key: there is no HTTP/3 without TLS");
  }
  if (result.http3 && (result.heartbeat === null || result.heartbeat >= result.idleTimeout)) {
    throw new ConfigError(
      `--http3 needs a --heartbeat that is shorter than --idle-timeout ${written(result.idleTimeout, TIME)}, ` +
        "after which its connections end when nothing was sent",
    );
  }
  const hostGiven = flags.host !== undefined || Boolean(env.HOST);
  if (result.open && !hostGiven) result.host = "0.0.0.0";
  if (!result.open && !isAuthenticated(result) && !LOOPBACK.test(result.host)) {
    const source = flags.host === undefined ? `HOST=${result.host}` : `--host ${result.host}`;
    throw new ConfigError(
      `${source} would let everybody who reaches this machine publish and read; ` +
        "configure authentication (SSE_JWT_SECRET, --jwt-key, --jwt-jwks or --tokens), add --open if that is what you " +
        "want, or stay on 127.0.0.1",
    );
  }
  return result;
}
