import { parseArgs } from "node:util";
import type { EndpointOptions } from "./endpoint.ts";
import { HEADER_BYTES, MAX_PAYLOAD_BYTES } from "./payload.ts";
import type { Settings } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/list.ts";
import { BenchError, checkUrl } from "./target.ts";

export type Command =
  | { readonly kind: "help" | "peers" }
  | { readonly kind: "endpoint"; readonly endpoint: EndpointOptions; readonly json: boolean }
  | ({ readonly kind: "scenario"; readonly scenario: string } & Shared)
  | ({
      readonly kind: "report";
      readonly renderOnly: boolean;
      readonly scenarios: readonly string[];
    } & Shared);

interface Shared {
  readonly settings: Settings;
  readonly rounds: number | null;
  /** By name; empty for the default. */
  readonly peers: readonly string[];
  readonly allPeers: boolean;
  readonly json: boolean;
}

const FLAGS = {
  url: { type: "string" },
  streams: { type: "string" },
  duration: { type: "string" },
  header: { type: "string", multiple: true },
  publish: { type: "string" },
  rate: { type: "string" },
  "publish-header": { type: "string", multiple: true },
  "publish-body": { type: "string" },
  payload: { type: "string" },
  events: { type: "string" },
  processes: { type: "string" },
  insecure: { type: "boolean" },
  "finish-within": { type: "string" },
  peer: { type: "string", multiple: true },
  "all-peers": { type: "boolean" },
  rounds: { type: "string" },
  peers: { type: "boolean" },
  "render-only": { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof FLAGS; allowPositionals: true }>>["values"];

/** Flags that mean nothing without `--url`, and that mean nothing with it. */
const ENDPOINT_ONLY = [
  "header",
  "publish",
  "publish-header",
  "publish-body",
  "insecure",
  "finish-within",
] as const;
const SCENARIO_ONLY = ["peer", "all-peers", "rounds", "events"] as const;

export const ENDPOINT_DEFAULTS = Object.freeze({
  streams: 100,
  duration: 10_000,
  rate: 100,
  payloadBytes: 64,
  finishWithin: 10_000,
});

const NAMES: readonly string[] = [...SCENARIOS.map(({ name }) => name), "codec"];

/** @throws BenchError saying in one line what is wrong */
export function readCommand(args: readonly string[]): Command {
  const { values: flags, positionals } = parse(args);
  const [name, ...more] = positionals;
  if (flags.help === true) return { kind: "help" };
  if (flags.peers === true) return { kind: "peers" };
  if (more.length > 0 && name !== "report")
    throw new BenchError(`one scenario at a time, not ${positionals.join(" and ")}`);
  if (flags.url !== undefined) {
    if (name !== undefined) throw new BenchError(`either --url or the scenario ${name}, not both`);
    refuse(flags, SCENARIO_ONLY, "is for scenarios, not for --url");
    return { kind: "endpoint", endpoint: endpointOptions(flags, flags.url), json: flags.json ?? false };
  }
  refuse(flags, ENDPOINT_ONLY, "needs --url");
  if (name === undefined) {
    throw new BenchError(`give a scenario (${NAMES.join(", ")}), report, or --url; --help says more`);
  }
  const shared: Shared = {
    settings: settingsOf(flags),
    rounds: read(flags, "rounds", whole),
    peers: flags.peer ?? [],
    allPeers: flags["all-peers"] ?? false,
    json: flags.json ?? false,
  };
  if (name === "report") {
    const wanted = more.length === 0 ? NAMES : more.map(known);
    return { kind: "report", renderOnly: flags["render-only"] ?? false, scenarios: wanted, ...shared };
  }
  if (flags["render-only"] === true) throw new BenchError("--render-only is for report");
  return { kind: "scenario", scenario: known(name), ...shared };
}

function known(name: string): string {
  if (NAMES.includes(name)) return name;
  throw new BenchError(`there is no scenario ${JSON.stringify(name)}; there are ${NAMES.join(", ")}`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, allowPositionals: true });
  } catch (error) {
    throw new BenchError(`${(error as Error).message.split(". ")[0]} (--help lists all options)`);
  }
}

function refuse(flags: Flags, names: readonly (keyof Flags)[], why: string): void {
  for (const name of names) if (flags[name] !== undefined) throw new BenchError(`--${name} ${why}`);
}

function endpointOptions(flags: Flags, url: string): EndpointOptions {
  const { publish } = flags;
  if (publish === undefined) {
    refuse(flags, ["publish-header", "publish-body", "rate", "payload", "finish-within"], "needs --publish");
  }
  const body = flags["publish-body"] ?? "{data}";
  if (!body.includes("{data}"))
    throw new BenchError("--publish-body must have {data} in it, where the data goes");
  const { streams, duration, rate, payload, processes } = settingsOf(flags);
  return {
    url: checkUrl(url, "--url"),
    streams: streams ?? ENDPOINT_DEFAULTS.streams,
    duration: duration ?? ENDPOINT_DEFAULTS.duration,
    headers: headers("--header", flags.header),
    publish: publish === undefined ? null : checkUrl(publish, "--publish"),
    publishHeaders: { "content-type": "text/plain", ...headers("--publish-header", flags["publish-header"]) },
    publishBody: body,
    rate: rate ?? ENDPOINT_DEFAULTS.rate,
    payloadBytes: payload ?? ENDPOINT_DEFAULTS.payloadBytes,
    processes,
    insecure: flags.insecure ?? false,
    finishWithin: read(flags, "finish-within", time) ?? ENDPOINT_DEFAULTS.finishWithin,
  };
}

function settingsOf(flags: Flags): Settings {
  return {
    streams: read(flags, "streams", whole),
    duration: read(flags, "duration", time),
    events: read(flags, "events", whole),
    rate: read(flags, "rate", whole),
    payload: read(flags, "payload", payloadBytes),
    processes: read(flags, "processes", whole),
  };
}

type Measure = keyof Settings | "rounds" | "finish-within";

function read(flags: Flags, name: Measure, as: (flag: string, text: string) => number): number | null {
  const text = flags[name];
  return text === undefined ? null : as(`--${name}`, text);
}

function whole(flag: string, text: string): number {
  if (/^[0-9]{1,9}$/.test(text) && Number(text) > 0) return Number(text);
  throw new BenchError(`${flag} must be a whole number from 1 on, not ${JSON.stringify(text)}`);
}

function payloadBytes(flag: string, text: string): number {
  const bytes = whole(flag, text);
  if (bytes >= HEADER_BYTES && bytes <= MAX_PAYLOAD_BYTES) return bytes;
  throw new BenchError(`${flag} must be from ${HEADER_BYTES} to ${MAX_PAYLOAD_BYTES} bytes, not ${bytes}`);
}

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

function time(flag: string, text: string): number {
  const [, digits, unit = ""] = /^([0-9]{1,6})(ms|s|m)$/.exec(text) ?? [];
  const value = Number(digits) * MILLISECONDS[unit]!;
  if (value > 0) return value;
  throw new BenchError(
    `${flag} must be a time with a unit, as 500ms, 30s or 2m, not ${JSON.stringify(text)}`,
  );
}

function headers(flag: string, given: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    given.map((line) => {
      const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)$/.exec(line) ?? [];
      if (name === undefined) {
        throw new BenchError(`${flag} must be "name: value", not ${JSON.stringify(line)}`);
      }
      return [name.toLowerCase(), value!];
    }),
  );
}
