const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A count or a rate in at most five places: `0.4`, `12.5`, `1,024`, `12.3k`, `4.56M`. */
export function compact(value: number): string {
  if (value >= 999_950) return `${(value / 1e6).toFixed(2)}M`;
  if (value >= 9_999.5) return `${(value / 1e3).toFixed(1)}k`;
  if (value >= 100 || Number.isInteger(value)) return whole.format(value);
  return value.toFixed(1);
}

/** Milliseconds to three digits: `0.85`, `12.3`, `1,204`. */
export function milliseconds(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : whole.format(value);
}

/** `42.0 MiB`. */
export function bytes(value: number): string {
  const step = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(Math.max(1, Math.abs(value))) / 10));
  return `${(value / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${BYTE_UNITS[step]}`;
}

/** `1 d 2 h 3 min`, `2 min 5 s`. */
export function duration(seconds: number): string {
  const rest = Math.floor(seconds);
  const parts: [number, string][] = [
    [Math.floor(rest / 86_400), "d"],
    [Math.floor(rest / 3600) % 24, "h"],
    [Math.floor(rest / 60) % 60, "min"],
    [rest < 86_400 ? rest % 60 : 0, "s"],
  ];
  const shown = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`);
  return shown.join(" ") || "0 s";
}
