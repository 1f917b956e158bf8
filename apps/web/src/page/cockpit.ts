import { find, make } from "./element.ts";
import { type FeedEntry, type FeedStatus, WANTS_TOKEN } from "./feed.ts";
import type { FeedName } from "./feeds-shown.ts";
import { Metrics } from "./metrics.ts";
import { bytes, compact, duration } from "./quantity.ts";
import { StatsHistory } from "./stats-history.ts";

/** Five minutes of samples. */
const KEPT_SAMPLES = 300;

/** The hub as it says of itself that it is. */
export class Cockpit {
  readonly history = new StatsHistory(KEPT_SAMPLES);
  readonly #metrics = new Metrics(this.history);
  readonly #root = find(HTMLElement, '[data-feed="stats"]');
  #shown = true;

  set shown(shown: boolean) {
    this.#shown = shown;
    if (shown) this.#metrics.draw();
  }

  take(feed: FeedName, entry: FeedEntry): void {
    if (entry.kind === "event" && feed === "stats" && this.history.add(entry.data)) this.#draw();
  }

  #draw(): void {
    if (!this.#shown) return;
    this.#metrics.draw();
    this.#drawTold();
  }

  showStatus(status: FeedStatus): void {
    this.#root.dataset["state"] = status.state;
    find(HTMLElement, ".state-name", this.#root).textContent = status.state;
    find(HTMLElement, ".state-detail", this.#root).textContent = status.detail;
    const problem = find(HTMLElement, "#stats-problem", this.#root);
    problem.hidden = !status.detail.startsWith(WANTS_TOKEN);
    problem.textContent =
      "The hub's state takes a token with admin, as /stats does. The topics below go on without it.";
  }

  #drawTold(): void {
    const sample = this.history.latest?.sample;
    if (sample === undefined) return;
    show("#told-resumes", "Began", counts(sample.resumes));
    show("#told-gaps", "Gaps", counts(sample.gaps));
    show("#told-closes", "Ended", counts(sample.closes));
    show("#told-log", "Log", [
      ["events", compact(sample.log.events)],
      ["size", bytes(sample.log.bytes)],
      ["fault", sample.log.fault ?? "none"],
      ["server up for", duration(sample.uptime)],
    ]);
  }
}

function counts(of: Readonly<Record<string, number>>): [string, string][] {
  return Object.entries(of).map(([name, count]) => [name, compact(count)]);
}

function show(selector: string, title: string, fields: readonly [string, string][]): void {
  const list = find(HTMLElement, selector);
  if (list.childElementCount !== fields.length + 1) {
    const rows = fields.map(([name]) => {
      const row = make("div", "");
      row.append(make("dt", "", name), make("dd", ""));
      return row;
    });
    const head = make("div", "counts-head");
    head.append(make("dt", "", title), make("dd", ""));
    list.replaceChildren(head, ...rows);
  }
  for (const [index, value] of list.querySelectorAll(":scope > div:not(.counts-head) dd").entries())
    if (value.textContent !== fields[index]![1]) value.textContent = fields[index]![1];
}
