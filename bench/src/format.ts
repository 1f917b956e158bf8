import type { Unit } from "./scenario.ts";

/** Three significant digits, grouped: 1,234,567 becomes 1.23 M, 0.0412 stays 0.0412. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${significant(value / 1e9)} G`;
  if (size >= 1e6) return `${significant(value / 1e6)} M`;
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return significant(value);
}

function significant(value: number): string {
  return value === 0 ? "0" : String(Number(value.toPrecision(3)));
}

const MEBI = 1024 * 1024;

const FORMATS: { readonly [Name in Unit]: (value: number) => string } = {
  microseconds: (value) => `${significant(value)} us`,
  milliseconds: (value) => `${significant(value)} ms`,
  seconds: (value) => `${significant(value)} s`,
  count: number,
  bytes: (value) =>
    Math.abs(value) < MEBI ? `${significant(value / 1024)} KiB` : `${significant(value / MEBI)} MiB`,
  share: (value) => `${Math.round(value * 100)} %`,
};

/** A figure with its unit; a dash where there is none. */
export function figure(value: number | null | undefined, unit: Unit): string {
  return value === null || value === undefined || !Number.isFinite(value) ? "-" : FORMATS[unit](value);
}

/** A table as Markdown has it, its columns aligned, so that it reads in a terminal as well. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, index) =>
    Math.max(3, cell.length, ...rows.map((row) => row[index]!.length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!))).join(" | ")} |`;
  const rule = widths.map((width, index) => (index === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}
