import { find, make } from "./element.ts";
import { type FeedEntry, type FeedStatus, WANTS_TOKEN } from "./feed.ts";
import type { FeedName } from "./feeds-shown.ts";
import { Latency } from "./latency.ts";
import { Metrics } from "./metrics.ts";
import { post } from "./post.ts";
import { Probe } from "./probe.ts";
import { bytes, compact, duration } from "./quantity.ts";
import { StatsHistory } from "./stats-history.ts";

/** Five minutes of samples; of probes, the last minute. */
const KEPT_SAMPLES = 300;
const PROBES_SPAN_MS = 60_000;
const PROBE_EVERY_MS = 1_000;

/** The hub as it says of itself that it is, and the way through it as it is measured here. */
export class Cockpit {
  readonly history = new StatsHistory(KEPT_SAMPLES);
  readonly #latency = new Latency(PROBES_SPAN_MS);
  readonly #metrics = new Metrics(this.history, this.#latency);
  readonly #root = find(HTMLElement, '[data-feed="stats"]');
  readonly #probe = new Probe({
    tab: crypto.getRandomValues(new Uint32Array(2)).join("-"),
    post: (body) => post("/stats/probe", body),
    now: () => performance.now(),
    onLatency: (took) => {
      this.#latency.add(performance.now(), took);
      this.#metrics.addLatency(took);
    },
  });
  #shown = true;
  #open = false;

  constructor() {
    setInterval(() => {
      if (this.#open && this.#shown && document.visibilityState === "visible") void this.#probe.send();
    }, PROBE_EVERY_MS);
  }

  set shown(shown: boolean) {
    this.#shown = shown;
    if (shown) this.#metrics.draw();
  }

  take(feed: FeedName, entry: FeedEntry): void {
    if (entry.kind === "gap" || feed !== "stats") return;
    if (entry.type === "probe") {
      if (!entry.replayed) this.#probe.arrived(entry.data);
    } else if (this.history.add(entry.data)) this.#draw();
  }

  #draw(): void {
    if (!this.#shown) return;
    this.#metrics.draw();
    this.#drawTold();
  }

  showStatus(status: FeedStatus): void {
    this.#open = status.state === "open" || status.state === "resumed" || status.state === "gap";
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
