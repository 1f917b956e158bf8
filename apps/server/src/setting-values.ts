import { resolve } from "node:path";
import { accessOf, clientAddress } from "@sse/http";
import { logUrlFault } from "./log-url.ts";

/** A mistake in the flags or the environment; the message names the setting and what to do, and quotes nothing that is wrong. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * Reads a setting's value; says what it must be, where it is something else.
 *
 * @param source where the text is from: a flag, with its dashes, or a variable of the environment
 */
export type Parse<Value> = (text: string, source: string) => Value;

type Units = Readonly<Record<string, number>>;

const ONE: Units = { "": 1 };
export const TIME: Units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
export const SIZE: Units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** A value as it is given. */
export function written(value: number | null, units = ONE): string {
  if (value === null) return "off";
  const [unit, factor] = Object.entries(units).findLast(([, each]) => value % each === 0)!;
  return `${value / factor}${unit}`;
}

function quantity(units: Units, example: string, least = 1): Parse<number> {
  const withUnit = units === ONE ? "" : ` with a unit (${Object.keys(units).join(", ")})`;
  return (text) => {
    const [, digits, unit = "none"] = /^([0-9]{1,15})([A-Za-z]*)$/.exec(text) ?? [];
    const value = Number(digits) * (units[unit] ?? Number.NaN);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new ConfigError(`must be a whole number from ${least} on${withUnit}, as ${example}`);
  };
}

export const time: Parse<number> = quantity(TIME, "15s");
export const timeOrNone: Parse<number> = quantity(TIME, "5s", 0);
export const size: Parse<number> = quantity(SIZE, "64MiB");
export const count: Parse<number> = quantity(ONE, "1000");

export const orOff =
  (parse: Parse<number>): Parse<number | null> =>
  (text, source) =>
    text === "off" ? null : parse(text, source);

/** An amount, or a part of what there is; off where that is not known. */
export function orShare(parse: Parse<number>, whole: () => number | null): Parse<number | null> {
  return (text, source) => {
    if (text === "off") return null;
    const percent = /^([1-9][0-9]?|100)%$/.exec(text)?.[1];
    if (percent === undefined) return parse(text, source);
    const all = whole();
    return all === null ? null : Math.floor((all * Number(percent)) / 100);
  };
}

/** What Bun can do: it looks every four seconds, and counts in a byte. */
const SHORTEST_IDLE = 8000;
const LONGEST_IDLE = 255_000;

export function idle(text: string, source: string): number {
  const value = time(text, source);
  if (value >= SHORTEST_IDLE && value <= LONGEST_IDLE) return value;
  throw new ConfigError(`must be from ${written(SHORTEST_IDLE, TIME)} to ${written(LONGEST_IDLE, TIME)}`);
}

export function rate(text: string): number {
  const value = /^([0-9]{1,9})(?:\/s)?$/.exec(text)?.[1];
  if (value !== undefined && Number(value) > 0) return Number(value);
  throw new ConfigError("must be a whole number of events from 1 on, as 100/s");
}

export function port(text: string): number {
  if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new ConfigError("must be a port number from 0 (any free one) to 65535");
}

export function asItIs(text: string): string {
  return text;
}

export function hostName(text: string): string {
  if (/^[\w.:%-]{1,253}$/.test(text)) return text;
  throw new ConfigError("must be the name or the address of a network interface");
}

export function oneOf<const T extends string>(values: readonly T[]): Parse<T> {
  return (text) => {
    const value = values.find((each) => each === text);
    if (value !== undefined) return value;
    throw new ConfigError(`must be one of ${values.join(", ")}`);
  };
}

export function logUrl(text: string): string {
  const wrong = logUrlFault(text);
  if (wrong !== null) throw new ConfigError(wrong);
  return text.startsWith("sqlite:") ? `sqlite:${resolve(text.slice("sqlite:".length))}` : text;
}

/** RFC 6265, 4.1.1. */
export function cookieName(text: string): string {
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/.test(text)) return text;
  throw new ConfigError("must be the name of a cookie");
}

export function tokens(text: string, source: string): string {
  if (!source.startsWith("--") || !text.trim().startsWith("[")) return text;
  throw new ConfigError("must name a file: everybody on this machine can read the arguments of a process");
}

/** The parts of a list, of which each has to be good. */
function listOf(what: string, separator: RegExp, isGood: (part: string) => boolean): Parse<string[]> {
  return (text) => {
    const parts = text.split(separator).filter((part) => part !== "");
    const wrong = parts.findIndex((part) => !isGood(part));
    if (wrong === -1) return parts;
    throw new ConfigError(`must be ${what}, parted by commas; number ${wrong + 1} is not`);
  };
}

export const origins: Parse<string[]> = listOf(
  "a list of origins as https://example.com",
  /,/,
  (origin) => URL.canParse(origin) && new URL(origin).origin === origin,
);

/** RFC 9110, 5.1. */
export const headerNames: Parse<string[]> = listOf("a list of names as X-User", /,/, (name) =>
  /^[\w!#$%&'*+.^`|~-]+$/.test(name),
);

export const hosts: Parse<string[]> = listOf("names of hosts without ports", /[\s,]+/, (host) =>
  /^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])$/.test(host),
);

export function proxies(text: string): string[] {
  const list = text.split(/[\s,]+/).filter((each) => each !== "");
  try {
    clientAddress(list);
  } catch {
    throw new ConfigError("must be addresses and networks, as 10.0.0.0/8");
  }
  return list;
}

export function selectors(text: string): string[] {
  const list = text.split(/\s+/).filter((word) => word !== "");
  try {
    accessOf({ subscribe: list });
  } catch {
    throw new ConfigError("must be selectors, as public/**: * is a whole segment, and ** the last one");
  }
  return list;
}
