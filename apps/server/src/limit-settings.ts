import { clientAddress } from "@sse/elysia";
import { HUB_DEFAULTS } from "@sse/hub";
import { descriptorLimit, memoryLimit, type OverloadLimits } from "./overload.ts";
import { ConfigError, count, orOff, type Setting, size, TIME, time, written } from "./setting.ts";

/** How much of what there may be; see `docs/limits.md`. `null` is off. */
export interface LimitConfig extends OverloadLimits {
  maxStreams: number | null;
  maxStreamsPerAddress: number | null;
  maxStreamsPerPrincipal: number | null;
  maxStreamsPerTopic: number | null;
  maxSelectors: number;
  trustedProxies: string[];
  /** Events in a second. */
  publishRate: number | null;
  /** Milliseconds. */
  maxAge: number | null;
  returnWindow: number;
  idleTimeout: number;
  peerTimeout: number | null;
}

function proxies(text: string): string[] {
  const list = text.split(/[\s,]+/).filter((each) => each !== "");
  try {
    clientAddress(list);
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
  return list;
}

/** An amount, or a part of what there is; off where that is not known. */
function orShare(parse: (text: string) => number, whole: () => number | null) {
  return (text: string): number | null => {
    if (text === "off") return null;
    const percent = /^([1-9][0-9]?|100)%$/.exec(text)?.[1];
    if (percent === undefined) return parse(text);
    const all = whole();
    return all === null ? null : Math.floor((all * Number(percent)) / 100);
  };
}

function rate(text: string): number {
  const value = /^([0-9]{1,9})(?:\/s)?$/.exec(text)?.[1];
  if (value !== undefined && Number(value) > 0) return Number(value);
  throw new ConfigError("must be a whole number of events from 1 on, as 100/s");
}

/** What Bun can do: it looks every four seconds, and counts in a byte. */
const SHORTEST_IDLE = 8000;
const LONGEST_IDLE = 255_000;

function idle(text: string): number {
  const value = time(text);
  if (value >= SHORTEST_IDLE && value <= LONGEST_IDLE) return value;
  throw new ConfigError(
    `must be from ${written(SHORTEST_IDLE, TIME)} to ${written(LONGEST_IDLE, TIME)}, not ${text}`,
  );
}

const streams = (of: string, value: number | null) => ({
  env: `SSE_MAX_STREAMS${of}`,
  fallback: value === null ? "off" : String(value),
  parse: orOff(count),
});

export const LIMIT_SETTINGS: readonly Setting<keyof LimitConfig>[] = [
  {
    name: "maxStreams",
    flag: "max-streams",
    ...streams("", HUB_DEFAULTS.maxStreams),
    help: "most streams, or off",
  },
  {
    name: "maxStreamsPerAddress",
    flag: "max-streams-per-address",
    ...streams("_PER_ADDRESS", HUB_DEFAULTS.maxStreamsPerAddress),
    help: "most streams of one address, or off; IPv6 by its first 64 bits",
  },
  {
    name: "maxStreamsPerPrincipal",
    flag: "max-streams-per-principal",
    ...streams("_PER_PRINCIPAL", HUB_DEFAULTS.maxStreamsPerPrincipal),
    help: "most streams of one subject of tokens, or off",
  },
  {
    name: "maxStreamsPerTopic",
    flag: "max-streams-per-topic",
    ...streams("_PER_TOPIC", HUB_DEFAULTS.maxStreamsPerTopic),
    help: "most streams that ask for the same selector, or off",
  },
  {
    name: "maxSelectors",
    flag: "max-selectors",
    env: "SSE_MAX_SELECTORS",
    fallback: String(HUB_DEFAULTS.maxSelectors),
    parse: count,
    help: "most topics and patterns of one stream",
  },
  {
    name: "trustedProxies",
    flag: "trusted-proxies",
    env: "SSE_TRUSTED_PROXIES",
    fallback: "",
    placeholder: "LIST",
    parse: proxies,
    help: "addresses and networks, parted by commas, whose X-Forwarded-For is believed",
  },
  {
    name: "publishRate",
    flag: "publish-rate",
    env: "SSE_PUBLISH_RATE",
    fallback: "off",
    parse: orOff(rate),
    help: "most events in a second of one subject, or one address without a token, as 100/s",
  },
  {
    name: "maxDescriptors",
    flag: "max-descriptors",
    env: "SSE_MAX_DESCRIPTORS",
    fallback: "95%",
    parse: orShare(count, descriptorLimit),
    help: "open files from which on new streams are sent away: a number, a part of the process's limit, or off",
  },
  {
    name: "maxMemory",
    flag: "max-memory",
    env: "SSE_MAX_MEMORY",
    fallback: "90%",
    parse: orShare(size, memoryLimit),
    help: "memory from which on new streams are sent away: a size, a part of what there is, or off",
  },
  {
    name: "maxLag",
    flag: "max-lag",
    env: "SSE_MAX_LAG",
    fallback: "1s",
    parse: orOff(time),
    help: "lateness of the event loop from which on new streams are sent away, or off",
  },
  {
    name: "maxAge",
    flag: "max-age",
    env: "SSE_MAX_AGE",
    fallback: written(HUB_DEFAULTS.maxAge, TIME),
    parse: orOff(time),
    help: "when a stream is closed, and its client comes back, in the last quarter of this time, or off",
  },
  {
    name: "returnWindow",
    flag: "return-window",
    env: "SSE_RETURN_WINDOW",
    fallback: written(HUB_DEFAULTS.returnWindow, TIME),
    parse: time,
    help: "time over which clients that are sent away come back",
  },
  {
    name: "idleTimeout",
    flag: "idle-timeout",
    env: "SSE_IDLE_TIMEOUT",
    fallback: "30s",
    parse: idle,
    help: "how long a request may take to arrive, and a connection without one stays open, 8s to 255s",
  },
  {
    name: "peerTimeout",
    flag: "peer-timeout",
    env: "SSE_PEER_TIMEOUT",
    fallback: "60s",
    parse: orOff(time),
    help: "how long a peer may acknowledge nothing before its connection is dropped, or off",
  },
];

/** @throws ConfigError for settings that contradict each other */
export function checkLimits({
  peerTimeout,
  writeDeadline,
}: LimitConfig & { writeDeadline: number | null }): void {
  if (peerTimeout !== null && writeDeadline !== null && peerTimeout < writeDeadline) {
    throw new ConfigError(
      `--peer-timeout ${written(peerTimeout, TIME)} is shorter than --write-deadline ${written(writeDeadline, TIME)}, ` +
        "which could never be reached",
    );
  }
}
