import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from "hdr-histogram-js";

/** An HDR histogram of microseconds: three digits, from 1 us to an hour. */
export function createHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 3600e6,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
  });
}

/** Records microseconds, whatever they are: a clock's microsecond of error can make a short time negative. */
export function record(histogram: Histogram, microseconds: number): void {
  histogram.recordValue(Math.min(3600e6, Math.max(1, Math.round(microseconds))));
}

/** As text, to be sent to another process or kept in a result. */
export function packed(histogram: Histogram): string {
  return encodeIntoCompressedBase64(histogram);
}

/** The sum of histograms as {@link packed}. */
export function merged(texts: readonly string[]): Histogram {
  const sum = createHistogram();
  for (const text of texts) sum.add(decodeFromCompressedBase64(text, 32, false));
  return sum;
}

/** Milliseconds; null where nothing was recorded. */
export interface Percentiles {
  p50: number | null;
  p90: number | null;
  p99: number | null;
  p999: number | null;
  max: number | null;
}

export function percentiles(histogram: Histogram): Percentiles {
  const at = (percentile: number): number | null =>
    histogram.totalCount === 0 ? null : histogram.getValueAtPercentile(percentile) / 1000;
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: at(100) };
}
