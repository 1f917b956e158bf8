import { existsSync } from "node:fs";
import { BODY_DEFAULTS, TICKET_DEFAULTS } from "@sse/http";
import { HUB_DEFAULTS, MEMORY_LOG_DEFAULTS } from "@sse/hub";
import { SQLITE_LOG_DEFAULTS } from "@sse/hub/sqlite";
import { LOG_LEVELS } from "./logger.ts";
import { descriptorLimit, memoryLimit } from "./overload-watch.ts";
import * as of from "./setting-values.ts";
import { type Parse, SIZE, TIME, written } from "./setting-values.ts";

/** A setting. Its flag and its variable follow from its name: `maxLag`, `--max-lag`, `SSE_MAX_LAG`. */
interface Setting<Value> {
  /** Null for a switch. */
  readonly parse: Parse<Value> | null;
  /** As it would be written; undefined where there is none. */
  readonly fallback?: string;
  readonly help: string;
  /** What stands for a value that has no default. */
  readonly placeholder?: string;
  /** True: the default depends on the log, and `fallback` only tells of it. */
  readonly dependsOnLog?: true;
  /** True: the flag can be given several times; in the environment the values are parted by spaces. */
  readonly isList?: true;
  readonly env?: string;
  /** Whether a text may stand in messages; default: what could be read of it may. */
  readonly isShown?: (text: string) => boolean;
  /** Null for a secret: everybody on a machine can read the arguments of its processes. */
  readonly flag?: null;
}

type More = Pick<Setting<unknown>, "env" | "flag" | "isList" | "isShown">;

/** What names no file may be the secret itself, which was to be in one. */
const FILE: More = { isShown: (text) => existsSync(text) };
const SECRET: More = { isShown: () => false };

const value = <T>(parse: Parse<T>, fallback: string, help: string, more: More = {}): Setting<T> => ({
  parse,
  fallback,
  help,
  ...more,
});
const list = (parse: Parse<string[]>, placeholder: string, help: string, more: More = {}) =>
  ({ parse, fallback: "", placeholder, help, ...more }) satisfies Setting<string[]>;
const optional = (parse: Parse<string>, placeholder: string, help: string, more: More = {}) =>
  ({ parse, placeholder, help, ...more }) as Setting<string | undefined>;
const ofLog = <T>(parse: Parse<T>, fallback: string, help: string): Setting<T | undefined> => ({
  parse,
  fallback,
  dependsOnLog: true,
  help,
});
const toggle = (help: string): Setting<boolean> => ({ parse: null, help });

const { orOff, count, size, time } = of;

/** How much of what there may be; see `docs/limits.md`. */
export const LIMITS = {
  maxStreams: value(orOff(count), written(HUB_DEFAULTS.maxStreams), "most streams, or off"),
  maxStreamsPerAddress: value(
    orOff(count),
    written(HUB_DEFAULTS.maxStreamsPerAddress),
    "most streams of one address, or off; IPv6 by its first 64 bits",
  ),
  maxStreamsPerPrincipal: value(
    orOff(count),
    written(HUB_DEFAULTS.maxStreamsPerPrincipal),
    "most streams of one subject of tokens, or off",
  ),
  maxStreamsPerTopic: value(
    orOff(count),
    written(HUB_DEFAULTS.maxStreamsPerTopic),
    "most streams that ask for the same selector, or off",
  ),
  maxBatch: value(count, written(HUB_DEFAULTS.maxBatch), "most events of one request to publish"),
  maxSelectors: value(count, written(HUB_DEFAULTS.maxSelectors), "most topics and patterns of one stream"),
  trustedProxies: list(
    of.proxies,
    "LIST",
    "addresses and networks, parted by commas, whose X-Forwarded-For is believed",
  ),
  publishRate: value(
    orOff(of.rate),
    "off",
    "most events in a second of one subject, or one address without a token, as 100/s; a second's worth at once after a rest",
  ),
  maxDescriptors: value(
    of.orShare(count, descriptorLimit),
    "95%",
    "open files from which on new streams are sent away: a number, a part of the process's limit, or off",
  ),
  maxMemory: value(
    of.orShare(size, memoryLimit),
    "90%",
    "memory from which on new streams are sent away: a size, a part of what there is, or off",
  ),
  maxLag: value(
    orOff(time),
    "1s",
    "lateness of the event loop from which on new streams are sent away, or off",
  ),
  maxAge: value(
    orOff(time),
    written(HUB_DEFAULTS.maxAge, TIME),
    "when a stream is closed, and its client comes back, in the last quarter of this time, or off",
  ),
  returnWindow: value(
    time,
    written(HUB_DEFAULTS.returnWindow, TIME),
    "time over which clients that are sent away come back",
  ),
  idleTimeout: value(
    of.idle,
    "30s",
    "how long a request may take to arrive, and a connection without one stays open, 8s to 255s",
  ),
  peerTimeout: value(
    orOff(time),
    "60s",
    "how long a peer may acknowledge nothing before its connection is dropped, or off",
  ),
};

/** Who may do what; see `docs/authentication.md`. */
const AUTHENTICATION = {
  jwtSecret: optional(
    of.asItIs,
    "(environment only)",
    "secret of 32 bytes or more that JWTs are signed with (HS256)",
    { flag: null, ...SECRET },
  ),
  jwtKey: optional(
    of.asItIs,
    "FILE",
    "public key, as PEM, JWK or JWK set, that JWTs are checked with (RS256, ES256, EdDSA)",
    FILE,
  ),
  jwtJwks: optional(of.asItIs, "URL", "where to get the JWK set that JWTs are checked with", {
    isShown: (text) => /^https?:/.test(text),
  }),
  jwtIssuer: optional(of.asItIs, "NAME", "what a JWT's iss must be"),
  jwtAudience: optional(of.asItIs, "NAME", "what a JWT's aud must hold"),
  tokens: optional(
    of.tokens,
    "FILE",
    "JSON list of fixed tokens; the environment may hold the list itself",
    FILE,
  ),
  anonymousSubscribe: list(
    of.selectors,
    "SELECTOR",
    "what everybody may read without a token; can be repeated",
    { isList: true },
  ),
  authCookie: optional(
    of.cookieName,
    "NAME",
    "cookie that may hold the token, for pages of the server's own and of --cors-origins",
  ),
  ticketTtl: value(time, written(TICKET_DEFAULTS.ttl, TIME), "how long a ticket waits for its EventSource"),
  maxTickets: value(count, written(TICKET_DEFAULTS.maxTickets), "most tickets that wait"),
  maxTicketsPerPrincipal: value(
    count,
    written(TICKET_DEFAULTS.maxTicketsPerPrincipal),
    "most tickets of one subject of tokens that wait",
  ),
  allowedHosts: list(
    of.hosts,
    "LIST",
    "names besides localhost that a server without authentication may be called by, parted by commas",
  ),
};

const inMemory = (text: string): string => `default ${text} when the log is no SQLite file`;

/** Every setting: the order is that of `--help`. Times are in milliseconds; `null` is off. */
const TABLE = {
  port: value(of.port, "3000", "port to listen on, 0 for any free one", { env: "PORT" }),
  host: value(of.hostName, "127.0.0.1", "address to listen on", { env: "HOST" }),
  open: toggle("listen beyond this machine although nobody has to authenticate"),
  log: value(
    of.logUrl,
    "sqlite:./data/events.db",
    "where events are kept: sqlite:PATH, memory: for as long as the process lives, or for several nodes redis://host:6379, redis+sentinel://, redis+cluster:// or nats://host:4222 (docs/scaling.md)",
  ),
  durability: ofLog(
    of.oneOf(["full", "normal", "off"]),
    "normal",
    "what events in a file survive: a loss of power (full), or the end of the process (normal, off)",
  ),
  maxLogEvents: ofLog(
    orOff(count),
    written(SQLITE_LOG_DEFAULTS.maxEvents),
    `most events in the log, or off; ${inMemory(written(MEMORY_LOG_DEFAULTS.maxEvents))}`,
  ),
  maxLogBytes: ofLog(
    orOff(size),
    written(SQLITE_LOG_DEFAULTS.maxBytes, SIZE),
    `most bytes in the log, or off; ${inMemory(written(MEMORY_LOG_DEFAULTS.maxBytes, SIZE))}`,
  ),
  maxLogAge: ofLog(
    orOff(time),
    written(SQLITE_LOG_DEFAULTS.maxAge, TIME),
    `how long the log keeps an event, or off; ${inMemory(written(MEMORY_LOG_DEFAULTS.maxAge, TIME))}`,
  ),
  heartbeat: value(orOff(time), written(HUB_DEFAULTS.heartbeat, TIME), "longest silence on a stream, or off"),
  retry: value(
    time,
    written(HUB_DEFAULTS.retry, TIME),
    "when clients reconnect, spread from half to one and a half times this",
  ),
  writeDeadline: value(
    orOff(time),
    written(HUB_DEFAULTS.writeDeadline, TIME),
    "how long a stream may be blocked before it is closed, or off",
  ),
  maxEventBytes: value(size, written(HUB_DEFAULTS.maxEventBytes, SIZE), "most bytes of data in one event"),
  maxBodyBytes: value(size, written(BODY_DEFAULTS.maxBodyBytes, SIZE), "most bytes in the body of a request"),
  maxBodiesBytes: value(
    size,
    written(BODY_DEFAULTS.maxBytesInFlight, SIZE),
    "most bytes in the bodies of all requests that are not answered yet",
  ),
  bodyTimeout: value(
    time,
    written(BODY_DEFAULTS.timeout, TIME),
    "how long the body of a request may take to arrive",
  ),
  ...LIMITS,
  corsOrigins: list(of.origins, "LIST", "origins whose pages may read and publish, parted by commas"),
  corsHeaders: list(
    of.headerNames,
    "LIST",
    "request headers that their pages may send besides Content-Type, Last-Event-ID and Authorization",
  ),
  ...AUTHENTICATION,
  tlsCert: optional(
    of.asItIs,
    "FILE",
    "file with the certificate chain, for https with HTTP/2 and HTTP/1.1; default none, http",
    FILE,
  ),
  tlsKey: optional(of.asItIs, "FILE", "file with the key of the certificate", FILE),
  http3: toggle(
    "offer HTTP/3 too, on the same port of UDP, an experiment of Bun; browsers remember it for a day",
  ),
  noDemos: toggle("leave out the demo topics and endpoints"),
  dev: toggle("bundle the page anew at each visit, for work on it"),
  drain: value(of.timeOrNone, "5s", "time over which streams are closed at SIGTERM; 0s is at once"),
  logLevel: value(
    of.oneOf(LOG_LEVELS),
    "info",
    `${LOG_LEVELS.join(", ")}; debug has a line for every stream that closes`,
  ),
};

export type Config = {
  -readonly [Name in keyof typeof TABLE]: (typeof TABLE)[Name] extends Setting<infer Value> ? Value : never;
};

interface NamedSetting extends Omit<Setting<unknown>, "flag" | "env"> {
  readonly name: keyof Config;
  readonly flag: string | null;
  readonly env: string;
}

export const SETTINGS: readonly NamedSetting[] = Object.entries<Setting<unknown>>(TABLE).map(
  ([name, setting]) => {
    const flag = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const env = `SSE_${flag.toUpperCase().replaceAll("-", "_")}`;
    return Object.assign({ name: name as keyof Config, flag, env }, setting);
  },
);
