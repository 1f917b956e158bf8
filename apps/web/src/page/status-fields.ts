/** One line of the status tile, ready to read. */
export interface StatusField {
  readonly name: string;
  readonly value: string;
}

const BYTES = /\b(bytes|memory|rss|heap)\b/;
const SECONDS = /\b(uptime|seconds|age)\b/;
const MILLISECONDS = /\b(ms|millis|milliseconds)\b/;
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

/** Turns any JSON into lines. The server may add fields whenever it likes: names decide how a number is shown. */
export function statusFields(value: unknown, path: readonly string[] = []): StatusField[] {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return Object.entries(value).flatMap(([key, inner]) => statusFields(inner, [...path, key]));
  const name = path.map(words).join(" ");
  return [{ name, value: show(value, name) }];
}

function show(value: unknown, name: string): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return typeof value === "string" ? value : JSON.stringify(value);
  if (MILLISECONDS.test(name)) return `${number.format(value)} ms`;
  if (BYTES.test(name)) return bytes(value);
  if (SECONDS.test(name)) return duration(value);
  return number.format(value);
}

function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, Math.abs(value))) / 10));
  return `${(value / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}

function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole < 86_400 ? whole % 60 : 0, "s"],
  ];
  const shown = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`);
  return shown.join(" ") || "0 s";
}

function words(key: string): string {
  return key
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replace(/[_.-]+/g, " ")
    .toLowerCase();
}
