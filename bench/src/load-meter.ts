import { createHistogram, percentiles, record } from "./histogram.ts";

/** How busy a process of the generator was. */
export interface LoadReport {
  /** CPU time over wall time; 1 is a whole core. */
  readonly cpu: number;
  /** Milliseconds by which timers were late, at the 99th percentile. */
  readonly lagP99: number;
}

const INTERVAL = 10;

/** Measures this process, because a generator that is short of time measures itself. */
export class LoadMeter implements Disposable {
  #lag = createHistogram();
  #cpu = process.cpuUsage();
  #started = performance.now();
  #due = 0;
  readonly #timer: Timer;

  constructor() {
    this.#due = performance.now() + INTERVAL;
    this.#timer = setInterval(() => {
      const time = performance.now();
      record(this.#lag, (time - this.#due) * 1000);
      this.#due = time + INTERVAL;
    }, INTERVAL);
    this.#timer.unref();
  }

  restart(): void {
    this.#lag.reset();
    this.#cpu = process.cpuUsage();
    this.#started = performance.now();
  }

  report(): LoadReport {
    const { user, system } = process.cpuUsage(this.#cpu);
    const wall = (performance.now() - this.#started) * 1000;
    return { cpu: (user + system) / wall, lagP99: percentiles(this.#lag).p99 ?? 0 };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** From here on a process is the bottleneck, or soon will be. */
const FULL_CPU = 0.9;
/** Milliseconds by which timers may be late before latencies are the generator's more than the server's. */
const TOO_LATE = 20;
/** From here on it has to be said: the bytes of a delivery waited about as long. */
const LATE = 5;

export interface Saturation {
  /** Why its latencies mean nothing. */
  readonly voids: readonly string[];
  /** What has to be known of them. */
  readonly notes: readonly string[];
}

/** Whether a generator was too busy to be believed. */
export function saturation(reports: readonly LoadReport[]): Saturation {
  const busy = tooBusy(reports);
  const lag = Math.max(0, ...reports.map(({ lagP99 }) => lagP99));
  const late = `the generator's own timers were ${lag.toFixed(1)} ms late at p99`;
  return {
    voids: [...busy, ...(lag >= TOO_LATE ? [late] : [])],
    notes: lag >= LATE && lag < TOO_LATE ? [`latencies are upper bounds: ${late}`] : [],
  };
}

/** What has to be known of a rate that the generator was the limit of. */
export function lowerBound(rate: string, reports: readonly LoadReport[]): string[] {
  return tooBusy(reports).map((reason) => `${rate} is a lower bound: ${reason}`);
}

/** Why it delivered no more, as a list of one; empty when it was not its doing. */
function tooBusy(reports: readonly LoadReport[]): string[] {
  const most = Math.max(0, ...reports.map(({ cpu }) => cpu));
  return most >= FULL_CPU ? [`a generator process used ${Math.round(most * 100)} % of a core`] : [];
}
