import uPlot from "uplot";

export interface PlotOptions {
  /** Custom properties of the style sheet, one for each line. */
  readonly colors: readonly string[];
  /** A value as the axis and the reading under the pointer show it. */
  readonly format: (value: number) => string;
  /** The point under the pointer; null when it has gone. */
  readonly onPoint?: (index: number | null) => void;
}

/** Seconds that are seen. */
const SPAN = 300;
const HEIGHT = 84;

/** Lines over the last five minutes. Drawn on a canvas, in the colours that the page has now. */
export class Plot {
  readonly #root: HTMLElement;
  readonly #plot: uPlot;

  constructor(root: HTMLElement, { colors, format, onPoint }: PlotOptions) {
    this.#root = root;
    const color = (name: string) => () => getComputedStyle(root).getPropertyValue(name).trim();
    this.#plot = new uPlot(
      {
        width: Math.max(1, root.clientWidth),
        height: HEIGHT,
        padding: [6, 0, 7, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 5 }, drag: { x: false, y: false }, sync: { key: "cockpit" } },
        scales: {
          x: { range: (_, __, newest) => [newest - SPAN, newest] },
          y: { range: (_, __, highest) => [0, Math.max(1, (highest || 0) * 1.15)] },
        },
        series: [
          {},
          ...colors.map((name) => ({
            stroke: color(name),
            width: 1.5,
            points: { show: false },
            spanGaps: false,
          })),
        ],
        axes: [
          { show: false },
          {
            size: 44,
            gap: 4,
            space: 26,
            font: "11px system-ui, sans-serif",
            stroke: color("--muted"),
            grid: { stroke: color("--line"), width: 1 },
            ticks: { show: false },
            values: (_, values) => values.map(format),
          },
        ],
        hooks: { setCursor: [(plot) => onPoint?.(plot.cursor.idx ?? null)] },
      },
      [[], ...colors.map(() => [])],
      root,
    );
    new ResizeObserver(() => this.#fit()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot.redraw());
  }

  /** Times are in seconds since 1970; null leaves a hole in a line. */
  show(times: readonly number[], lines: readonly (readonly (number | null)[])[]): void {
    this.#plot.setData([times, ...lines] as uPlot.AlignedData);
  }

  #fit(): void {
    const width = this.#root.clientWidth;
    if (width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }
}
