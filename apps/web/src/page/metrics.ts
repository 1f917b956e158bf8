import { find } from "./element.ts";
import type { Latency } from "./latency.ts";
import { oncePerFrame } from "./once-per-frame.ts";
import { Plot } from "./plot.ts";
import { bytes, compact, milliseconds } from "./quantity.ts";
import type { StatsHistory, StatsPoint, StatsSample } from "./stats-history.ts";

/** One card of the cockpit: a number now, the line that led to it, and a word beside it. */
interface Metric {
  readonly name: string;
  readonly colors: readonly string[];
  /** What the lines go through. */
  values(point: StatsPoint): readonly (number | null)[];
  readonly format: (value: number) => string;
  aside(point: StatsPoint): string;
}

const METRICS: readonly Metric[] = [
  {
    name: "streams",
    colors: ["--line-1"],
    values: ({ sample }) => [sample.streams],
    format: compact,
    aside: ({ sample }) => `in ${plural(sample.cohorts, "cohort")}`,
  },
  {
    name: "events",
    colors: ["--line-1"],
    values: ({ eventsPerSecond }) => [eventsPerSecond],
    format: compact,
    aside: ({ sample }) => `${compact(sample.published)} since the start`,
  },
  {
    name: "deliveries",
    colors: ["--line-1"],
    values: ({ deliveriesPerSecond }) => [deliveriesPerSecond],
    format: compact,
    aside: ({ sample }) => `${compact(sample.deliveries)} since the start`,
  },
  {
    name: "lag",
    colors: ["--line-2"],
    values: ({ sample }) => [sample.lag],
    format: compact,
    aside: ({ sample }) => `${sample.blocked} blocked, ${sample.catchingUp} catching up`,
  },
  {
    name: "memory",
    colors: ["--line-1"],
    values: ({ sample }) => [Math.round(sample.memory / 1024 ** 2)],
    format: compact,
    aside: ({ sample }) => `${(sample.cpu * 100).toFixed(0)} % of a core; log ${bytes(sample.log.bytes)}`,
  },
];

/** The probes' card has times of its own: a probe is drawn when it arrives. */
const LATENCY_KEPT = 300;

/** Nothing took longer from its publish until the last stream was written to. */
function slowest({ commit, fanOut }: StatsSample["latency"]): string {
  return commit === null && fanOut === null ? "–" : milliseconds((commit ?? 0) + (fanOut ?? 0));
}

/** The row of plots. */
export class Metrics {
  readonly #history: StatsHistory;
  readonly #latency: Latency;
  readonly #cards = METRICS.map((metric) => new Card(metric.name, metric.colors, metric.format));
  readonly #latencyCard = new Card("latency", ["--line-1"], milliseconds);
  readonly #times: number[] = [];
  readonly #took: number[] = [];
  /** Draws what is seen, once per animation frame. */
  readonly draw = oncePerFrame(() => this.#drawNow());

  constructor(history: StatsHistory, latency: Latency) {
    this.#history = history;
    this.#latency = latency;
  }

  addLatency(took: number): void {
    this.#times.push(Date.now() / 1000);
    this.#took.push(took);
    if (this.#times.length > LATENCY_KEPT) {
      this.#times.shift();
      this.#took.shift();
    }
    this.draw();
  }

  #drawNow(): void {
    const { points, latest } = this.#history;
    const times = points.map(({ sample }) => sample.time / 1000);
    for (const [index, metric] of METRICS.entries()) {
      const lines = metric.colors.map((_, line) => points.map((point) => metric.values(point)[line]!));
      const now = latest === undefined ? null : metric.values(latest)[0]!;
      this.#cards[index]!.draw(times, lines, now, latest === undefined ? "" : metric.aside(latest));
    }
    const [half, most] = [this.#latency.percentile(50), this.#latency.percentile(99)];
    const measured = most === null ? "" : `p99 ${milliseconds(most)}; `;
    const aside = latest === undefined ? "" : `server ${slowest(latest.sample.latency)}`;
    this.#latencyCard.draw(this.#times, [this.#took], half, measured + aside);
  }
}

class Card {
  readonly #value: HTMLElement;
  readonly #aside: HTMLElement;
  readonly #plot: Plot;
  readonly #format: (value: number) => string;
  #times: readonly number[] = [];
  #line: readonly (number | null)[] = [];
  #pointed: number | null = null;
  #shownAside = "";

  constructor(name: string, colors: readonly string[], format: (value: number) => string) {
    const root = find(HTMLElement, `[data-metric="${name}"]`);
    this.#value = find(HTMLElement, ".value", root);
    this.#aside = find(HTMLElement, ".aside", root);
    this.#format = format;
    this.#plot = new Plot(find(HTMLElement, ".plot", root), {
      colors,
      format,
      onPoint: (index) => this.#point(index),
    });
  }

  draw(
    times: readonly number[],
    lines: readonly (readonly (number | null)[])[],
    now: number | null,
    aside: string,
  ): void {
    this.#times = times;
    this.#line = lines[0] ?? [];
    this.#shownAside = aside;
    this.#value.textContent = now === null ? "–" : this.#format(now);
    this.#plot.show(times, lines);
    if (this.#pointed === null) this.#aside.textContent = aside;
  }

  /** Under the pointer: what was, and when. */
  #point(index: number | null): void {
    this.#pointed = index;
    const [time, value] = [index === null ? undefined : this.#times[index], this.#line[index ?? -1]];
    this.#aside.textContent =
      time === undefined
        ? this.#shownAside
        : `${timeOfDay.format(time * 1000)}: ${value == null ? "–" : this.#format(value)}`;
  }
}

const timeOfDay = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

function plural(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${compact(count)} ${word}s`;
}
