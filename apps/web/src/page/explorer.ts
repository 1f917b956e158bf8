import { find } from "./element.ts";
import { EventList } from "./event-list.ts";
import { EventRing } from "./event-ring.ts";
import { type ExplorerQuery, explorerUrl, parseSelectors } from "./explorer-query.ts";
import { formField } from "./form-field.ts";
import { Inspector } from "./inspector.ts";
import { setUpPublishForm } from "./publish-form.ts";
import { compact } from "./quantity.ts";
import { StreamLease } from "./stream-lease.ts";
import { WireReader, type WireState } from "./wire-reader.ts";
import { wireStateWords } from "./wire-state-words.ts";

/** Events that are kept to look at. */
const KEPT = 500;
const RATE_EVERY_MS = 500;

/** Reads any selectors, shows what comes, and what one event is made of. */
export class Explorer {
  readonly #root: HTMLElement;
  readonly #form: HTMLFormElement;
  readonly #ring = new EventRing(KEPT);
  readonly #list: EventList;
  readonly #inspector: Inspector;
  readonly #lease = new StreamLease(() => this.#stop("another tab has taken the connection over"));
  #reader: WireReader | null = null;
  #query: ExplorerQuery | null = null;
  #shown = true;
  #counted = { total: 0, at: 0 };

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#form = find(HTMLFormElement, "#subscribe", root);
    this.#inspector = new Inspector(find(HTMLElement, "#inspector", root), (id) => this.#resumeFrom(id));
    this.#list = new EventList({
      root: find(HTMLElement, "#events", root),
      ring: this.#ring,
      onSelect: (event) => this.#inspector.show(event),
      onBehind: (count) => this.#showBehind(count),
    });
    this.#setUpForm();
    this.#setUpTools();
    setUpPublishForm(find(HTMLFormElement, "#publish", root));
    setInterval(() => this.#showRate(), RATE_EVERY_MS);
    this.#showState({ is: "closed" });
  }

  /** The view has come or gone. Where connections are few, a stream that nobody looks at is not worth one. */
  set shown(shown: boolean) {
    if (this.#shown === shown) return;
    this.#shown = shown;
    if (!shown && this.#reader !== null) {
      this.#reader.close();
      this.#lease.give();
    } else if (shown && this.#query !== null) void this.#resume();
  }

  #setUpForm(): void {
    const start = (steal: boolean) => {
      const query = this.#readForm();
      if (query !== null) void this.#start(query, steal);
    };
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      start(false);
    });
    find(HTMLButtonElement, "#take-over", this.#root).addEventListener("click", () => start(true));
    find(HTMLButtonElement, "#disconnect", this.#root).addEventListener("click", () => this.#stop(""));
    const replay = find(HTMLSelectElement, "[name=replay]", this.#form);
    const count = find(HTMLInputElement, "[name=count]", this.#form);
    const drawCount = () => (count.disabled = replay.value !== "last");
    replay.addEventListener("change", drawCount);
    drawCount();
  }

  #setUpTools(): void {
    const pause = find(HTMLButtonElement, "#pause-events", this.#root);
    pause.addEventListener("click", () => {
      const paused = pause.ariaPressed !== "true";
      pause.ariaPressed = String(paused);
      this.#list.paused = paused;
    });
    find(HTMLButtonElement, "#follow", this.#root).addEventListener("click", () => {
      pause.ariaPressed = "false";
      this.#list.paused = false;
    });
    find(HTMLButtonElement, "#clear-events", this.#root).addEventListener("click", () => this.#clear());
  }

  #readForm(): ExplorerQuery | null {
    const form = new FormData(this.#form);
    const field = (name: string) => formField(form, name);
    const selectors = parseSelectors(field("selectors"));
    const input = find(HTMLInputElement, "[name=selectors]", this.#form);
    input.setCustomValidity(
      selectors.length === 0 ? "Name a topic, as demo/clock, or a pattern, as demo/*" : "",
    );
    if (!this.#form.reportValidity()) return null;
    const replay = field("replay") === "last" ? field("count") : field("replay");
    return { selectors, replay, lag: field("lag"), from: field("from").trim() };
  }

  async #start(query: ExplorerQuery, steal: boolean): Promise<void> {
    this.#reader?.close();
    this.#reader = null;
    this.#query = query;
    this.#clear();
    if (!(await this.#hasConnection(steal))) return;
    this.#open(query, query.from);
  }

  async #resume(): Promise<void> {
    const cursor = this.#reader?.cursor ?? this.#query!.from;
    if (await this.#hasConnection(false)) this.#open(this.#query!, cursor);
  }

  async #hasConnection(steal: boolean): Promise<boolean> {
    const has = await this.#lease.take(steal);
    find(HTMLElement, "#taken", this.#root).hidden = has;
    if (!has) this.#showState({ is: "closed" });
    return has;
  }

  #open(query: ExplorerQuery, cursor: string): void {
    this.#reader = new WireReader(
      {
        url: explorerUrl(query),
        onEvent: (event) => {
          this.#ring.add(event);
          this.#list.draw();
        },
        onState: (state) => this.#showState(state),
      },
      cursor,
    );
    this.#reader.open();
  }

  #stop(why: string): void {
    this.#reader?.close();
    this.#query = null;
    this.#lease.give();
    this.#showState({ is: "closed" }, why);
  }

  #resumeFrom(id: string): void {
    find(HTMLInputElement, "[name=from]", this.#form).value = id;
    this.#form.requestSubmit();
  }

  #clear(): void {
    this.#ring.clear();
    this.#counted = { total: 0, at: performance.now() };
    this.#inspector.show(null);
    this.#list.clear();
  }

  #showState(state: WireState, why = ""): void {
    const { tone, name, detail } = wireStateWords(state, why);
    const shown = find(HTMLElement, "#explorer-state", this.#root);
    shown.dataset["state"] = tone;
    find(HTMLElement, ".state-name", shown).textContent = name;
    find(HTMLElement, ".state-detail", shown).textContent = detail;
    const problem = find(HTMLElement, "#explorer-problem", this.#root);
    problem.textContent = state.is === "refused" ? state.problem : "";
    const active = state.is === "connecting" || state.is === "open" || state.is === "waiting";
    find(HTMLButtonElement, "#disconnect", this.#root).disabled = !active;
    find(HTMLElement, "#no-events", this.#root).textContent = active
      ? "Nothing has come yet. Publish something, or replay what the log holds."
      : "Name a topic or a pattern, and connect.";
  }

  #showBehind(count: number): void {
    const { total, length } = this.#ring;
    find(HTMLElement, "#no-events", this.#root).hidden = total > 0;
    const follow = find(HTMLButtonElement, "#follow", this.#root);
    follow.hidden = count === 0;
    follow.textContent = `${compact(count)} newer`;
    find(HTMLElement, "#event-count", this.#root).textContent =
      total === 0
        ? ""
        : total > length
          ? `${total.toLocaleString("en")} events, the newest ${length} kept`
          : `${total} event${total === 1 ? "" : "s"}`;
  }

  #showRate(): void {
    const now = performance.now();
    const { total } = this.#ring;
    const rate = ((total - this.#counted.total) / (now - this.#counted.at)) * 1000;
    this.#counted = { total, at: now };
    find(HTMLElement, "#event-rate", this.#root).textContent =
      this.#reader?.state.is === "open" ? `${compact(Math.round(rate))}/s` : "";
  }
}
