/** A mistake in the flags or the environment; the message names the setting and what to do. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** What one field of a configuration is set by. */
export interface Setting<Name extends string> {
  readonly name: Name;
  /** Null for a secret: everybody on a machine can read the arguments of its processes. */
  readonly flag: string | null;
  readonly env: string;
  /** As it would be written; undefined for a switch, and where there is no default. */
  readonly fallback?: string;
  /** @param source where the text is from: a flag, with its dashes, or a variable of the environment */
  readonly parse?: (text: string, source: string) => unknown;
  /** True: what is the default depends on other settings, and `fallback` only tells of it. */
  readonly isOwn?: boolean;
  /** What stands for a value that has no default. */
  readonly placeholder?: string;
  /** True: the flag can be given several times; in the environment the values are parted by spaces. */
  readonly isList?: true;
  readonly help: string;
}

export const TIME = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
export const SIZE = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function quantity(
  units: Readonly<Record<string, number>>,
  example: string,
  least = 1,
): (text: string) => number {
  const unitNames = Object.keys(units).filter((unit) => unit !== "");
  const withUnit = unitNames.length > 0 ? ` with a unit (${unitNames.join(", ")})` : "";
  return (text) => {
    const [, digits, unit = "none"] = /^([0-9]{1,15})([A-Za-z]*)$/.exec(text) ?? [];
    const value = Number(digits) * (units[unit] ?? Number.NaN);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new ConfigError(`must be a whole number from ${least} on${withUnit}, as ${example}`);
  };
}

export const time = quantity(TIME, "15s");
export const timeOrNone = quantity(TIME, "5s", 0);
export const size = quantity(SIZE, "64MiB");
export const count = quantity({ "": 1 }, "1000");
export const orOff =
  (parse: (text: string) => number) =>
  (text: string): number | null =>
    text === "off" ? null : parse(text);

export function written(value: number, units: Readonly<Record<string, number>>): string {
  const [unit, factor] = Object.entries(units).findLast(([, each]) => value % each === 0)!;
  return `${value / factor}${unit}`;
}

export function oneOf<T extends string>(values: readonly T[]): (text: string) => T {
  return (text) => {
    const value = values.find((each) => each === text);
    if (value !== undefined) return value;
    throw new ConfigError(`must be one of ${values.join(", ")}`);
  };
}

/** Origins, parted by commas. */
export function origins(text: string): string[] {
  return text
    .split(",")
    .filter((origin) => origin !== "")
    .map((origin) => {
      if (URL.canParse(origin) && new URL(origin).origin === origin) return origin;
      throw new ConfigError(
        `must be a list of origins as https://example.com, parted by commas, not ${JSON.stringify(origin)}`,
      );
    });
}

/** Names of header fields (RFC 9110, 5.1), parted by commas. */
export function headerNames(text: string): string[] {
  const names = text.split(",").filter((name) => name !== "");
  const wrong = names.find((name) => !/^[\w!#$%&'*+.^`|~-]+$/.test(name));
  if (wrong === undefined) return names;
  throw new ConfigError(`must be a list of names as X-User, parted by commas, not ${JSON.stringify(wrong)}`);
}
