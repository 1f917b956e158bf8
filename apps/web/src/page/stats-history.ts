import { fields } from "./fields.ts";

/** What the server says of itself once a second, as far as the page draws it. */
export interface StatsSample {
  /** The server's clock, in milliseconds since 1970. */
  readonly time: number;
  readonly uptime: number;
  readonly memory: number;
  /** Share of one core, 1 being all of it. */
  readonly cpu: number;
  readonly streams: number;
  readonly cohorts: number;
  readonly catchingUp: number;
  readonly blocked: number;
  readonly published: number;
  readonly deliveries: number;
  /** Events that the stream which is furthest behind has yet to get. */
  readonly lag: number;
  /** What took longest in the second before, in milliseconds; null where nothing was done. */
  readonly latency: { readonly commit: number | null; readonly fanOut: number | null };
  readonly resumes: Readonly<Record<string, number>>;
  readonly gaps: Readonly<Record<string, number>>;
  readonly closes: Readonly<Record<string, number>>;
  readonly log: { readonly events: number; readonly bytes: number; readonly fault: string | null };
}

/** One point of all plots. A rate is null where there is nothing to compare with. */
export interface StatsPoint {
  readonly sample: StatsSample;
  readonly eventsPerSecond: number | null;
  readonly deliveriesPerSecond: number | null;
}

/** Samples further apart than this are not joined: nobody listened in between, or the server was away. */
const MAX_STEP_MS = 5_000;

/** The last samples, and what follows from two of them. Holds at most `kept`. */
export class StatsHistory {
  readonly #kept: number;
  #points: StatsPoint[] = [];

  constructor(kept: number) {
    this.#kept = kept;
  }

  get points(): readonly StatsPoint[] {
    return this.#points;
  }

  get latest(): StatsPoint | undefined {
    return this.#points.at(-1);
  }

  /** Takes the data of a `stats` event; false for what is none. */
  add(data: string): boolean {
    const said: Partial<StatsSample> = fields(data);
    if (typeof said.time !== "number" || typeof said.streams !== "number") return false;
    const sample = said as StatsSample;
    const before = this.latest?.sample;
    // A server that has started anew counts from nothing: there is no rate between two lives.
    const step = before === undefined ? 0 : sample.time - before.time;
    const joined = step > 0 && step <= MAX_STEP_MS && sample.uptime >= (before?.uptime ?? 0);
    const rate = (name: "published" | "deliveries") =>
      joined ? ((sample[name] - before![name]) / step) * 1000 : null;
    this.#points.push({
      sample,
      eventsPerSecond: rate("published"),
      deliveriesPerSecond: rate("deliveries"),
    });
    if (this.#points.length > this.#kept) this.#points.shift();
    return true;
  }

  clear(): void {
    this.#points = [];
  }
}
