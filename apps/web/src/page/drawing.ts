/** Points of an SVG path for numbers from left to right, scaled to fill `width` by `height`. */
export function linePath(values: readonly number[], width: number, height: number, slots: number): string {
  if (values.length < 2) return "";
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const step = width / (slots - 1);
  const left = width - step * (values.length - 1);
  return values
    .map((value, index) => {
      const y = height - ((value - low) / span) * height;
      return `${index === 0 ? "M" : "L"}${(left + index * step).toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** An SVG path with one upright stroke per time, over the `window` ms before `now`. */
export function strokesPath(
  times: readonly number[],
  now: number,
  window: number,
  width: number,
  height: number,
): string {
  return times
    .filter((time) => now - time <= window)
    .map((time) => `M${(width - ((now - time) / window) * width).toFixed(1)} 0V${height}`)
    .join("");
}
