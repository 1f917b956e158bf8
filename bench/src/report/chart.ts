import { figure } from "../format.ts";
import { medianOf, type Result, runsOf } from "../result.ts";
import type { Scenario } from "../scenario.ts";

/** Colours of a chart; each is drawn for a light and for a dark page. */
interface Theme {
  readonly text: string;
  readonly quiet: string;
  readonly baseline: string;
  readonly other: string;
  readonly range: string;
}

export const THEMES: Readonly<Record<"light" | "dark", Theme>> = {
  light: { text: "#1f2328", quiet: "#59636e", baseline: "#0969da", other: "#afb8c1", range: "#1f2328" },
  dark: { text: "#f0f6fc", quiet: "#9198a1", baseline: "#4493f8", other: "#484f58", range: "#f0f6fc" },
};

const WIDTH = 760;
const LEFT = 110;
const RIGHT = 110;
const BAR = 18;
const ROW = 26;
const HEADING = 34;
const MARGIN = 12;

/** Bars of the scenario's first figure: a panel for each case, the median of the rounds, and a line from the least to the greatest. */
export function chart(scenario: Scenario, { cases, baseline }: Result, theme: Theme): string {
  const column = scenario.columns.find(({ key }) => key === scenario.primary)!;
  const parts: string[] = [];
  let y = MARGIN;
  for (const { label, runs } of cases) {
    const bars = [...runsOf(runs)].map(([peer, own]) => {
      const values = own
        .map(({ outcome }) => outcome.figures[column.key] ?? null)
        .filter((value) => value !== null);
      return {
        peer,
        value: medianOf(own, column.key),
        least: Math.min(...values),
        most: Math.max(...values),
      };
    });
    const most = Math.max(...bars.map((bar) => bar.most).filter(Number.isFinite));
    const x = (value: number): number => LEFT + (value / most) * (WIDTH - LEFT - RIGHT);
    parts.push(text(MARGIN, y + 16, theme.text, `${label}: ${column.title}`, 'font-weight="600"'));
    y += HEADING;
    for (const { peer, value, least, most: greatest } of bars) {
      const middle = y + BAR / 2;
      parts.push(text(LEFT - 8, middle + 4, theme.quiet, peer, 'text-anchor="end"'));
      if (value !== null && most > 0) {
        const fill = peer === baseline ? theme.baseline : theme.other;
        const width = Math.max(1, x(value) - LEFT).toFixed(1);
        parts.push(`<rect x="${LEFT}" y="${y}" width="${width}" height="${BAR}" rx="2" fill="${fill}"/>`);
        if (greatest > least) {
          parts.push(
            `<line x1="${x(least).toFixed(1)}" y1="${middle}" x2="${x(greatest).toFixed(1)}" y2="${middle}" stroke="${theme.range}"/>`,
          );
        }
      }
      const end = value === null || most <= 0 ? LEFT : x(greatest);
      parts.push(text(end + 8, middle + 4, theme.text, figure(value, column.unit)));
      y += ROW;
    }
    y += MARGIN;
  }
  const title = escape(`${scenario.name}: ${column.title}`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="${title}" font-family="ui-sans-serif, system-ui, sans-serif" font-size="13">`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function text(x: number, y: number, fill: string, content: string, attributes = ""): string {
  const rest = attributes === "" ? "" : ` ${attributes}`;
  return `<text x="${x.toFixed(1)}" y="${y}" fill="${fill}"${rest}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
