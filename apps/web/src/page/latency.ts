/** One measured way of an event, in milliseconds. */
interface Reading {
  readonly at: number;
  readonly took: number;
}

/** Latencies of the last `span` milliseconds, and where their percentiles are. Times are of one clock, the reader's. */
export class Latency {
  readonly #span: number;
  #readings: Reading[] = [];

  constructor(span: number) {
    this.#span = span;
  }

  add(at: number, took: number): void {
    this.#readings.push({ at, took });
    this.#readings = this.#readings.filter((reading) => at - reading.at <= this.#span);
  }

  get count(): number {
    return this.#readings.length;
  }

  /** The nearest-rank percentile: a value that was measured. Null when nothing was. */
  percentile(percent: number): number | null {
    const sorted = this.#readings.map(({ took }) => took).toSorted((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? null;
  }
}
