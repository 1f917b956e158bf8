import { find, make } from "./element.ts";
import { EventList } from "./event-list.ts";
import { EventRing } from "./event-ring.ts";
import { type Bench, cut, drain, endTopic, flood, stall } from "./experiments.ts";
import { FrameMeter } from "./frame-meter.ts";
import { type LagPolicy, LabSubject } from "./lab-subject.ts";
import type { StatsHistory } from "./stats-history.ts";
import { startStorm, stormWords } from "./storm.ts";
import { StreamLease } from "./stream-lease.ts";
import { wireStateWords } from "./wire-state-words.ts";

const EXPERIMENTS = { cut, stall, flood, drain, end: endTopic } as const;
type ExperimentName = keyof typeof EXPERIMENTS;

const KEPT_EVENTS = 500;
const KEPT_NOTES = 50;
const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** The buttons that hurt, the reader that they hurt, and what became of the promises made to it. */
export class Lab {
  readonly #root: HTMLElement;
  readonly #history: StatsHistory;
  readonly #ring = new EventRing(KEPT_EVENTS);
  readonly #list: EventList;
  readonly #notes: HTMLElement;
  readonly #frames = new FrameMeter();
  readonly #lease = new StreamLease(() => this.#subject?.stop());
  #subject: LabSubject | null = null;
  #running = false;

  constructor(root: HTMLElement, history: StatsHistory) {
    this.#root = root;
    this.#history = history;
    this.#notes = find(HTMLElement, "#notes", root);
    this.#list = new EventList({
      root: find(HTMLElement, "#lab-events", root),
      ring: this.#ring,
      onSelect: () => {},
      onBehind: () => this.#drawAccount(),
    });
    for (const button of root.querySelectorAll<HTMLButtonElement>("[data-experiment]")) {
      const name = button.dataset["experiment"] as ExperimentName | "storm";
      button.addEventListener("click", () => void this.#run(name));
    }
  }

  async #run(name: ExperimentName | "storm"): Promise<void> {
    if (this.#running) return;
    this.#setRunning(name);
    this.#begin();
    if (!(await this.#lease.take())) {
      this.#note(
        "Another tab has the one connection that is to spare (HTTP/1.1 has six to a host). Close its explorer or its experiment first.",
      );
    } else {
      await (name === "storm" ? this.#storm() : this.#hurt(name)).catch((error: Error) => {
        this.#note(`Broken off: ${error.message}`);
        this.#verdict("", `No verdict, as it was broken off: ${error.message}`);
      });
      this.#lease.give();
    }
    this.#setRunning(null);
  }

  async #hurt(name: ExperimentName): Promise<void> {
    const lag = find(HTMLSelectElement, "#stall-lag", this.#root).value as LagPolicy;
    const subject = new LabSubject({
      // Of its own each time: what an earlier run left in the log is not this one's.
      topic: `demo/lab/${Math.random().toString(36).slice(2, 10)}`,
      lag: name === "stall" ? lag : "catch-up",
      onEvent: (event) => {
        this.#ring.add(event);
        this.#list.draw();
      },
      onState: (state) => {
        const { tone, name: word, detail } = wireStateWords(state);
        this.#showState(tone, word, detail);
      },
      onNote: (note) => this.#note(note),
    });
    this.#subject = subject;
    const bench: Bench = {
      subject,
      frames: this.#frames,
      note: (note) => this.#note(note),
      server: () => this.#history.latest?.sample ?? null,
    };
    try {
      await EXPERIMENTS[name](bench);
      this.#judge();
    } finally {
      subject.stop();
    }
  }

  async #storm(): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#showState("connecting", "storm", "");
    startStorm((report) => {
      this.#showState(
        report.done ? "ended" : "open",
        report.done ? "over" : "storm",
        `${report.opened} opened, ${report.open} open now`,
      );
      if (!report.done) return;
      this.#note(stormWords(report));
      if (report.failed === 0) this.#verdict("kept", "All of them were opened.");
      else
        this.#verdict(
          "",
          `${report.failed.toLocaleString("en")} were not opened: the server has no room for them, wants a token, or cannot be reached.`,
        );
      done.resolve();
    });
    await done.promise;
  }

  #begin(): void {
    this.#subject = null;
    this.#ring.clear();
    this.#list.clear();
    this.#notes.replaceChildren();
    find(HTMLElement, "#no-notes", this.#root).hidden = true;
    this.#verdict("", "");
    this.#drawAccount();
  }

  #setRunning(name: string | null): void {
    this.#running = name !== null;
    for (const button of this.#root.querySelectorAll<HTMLButtonElement>("[data-experiment]")) {
      button.ariaDisabled = String(this.#running);
      button.toggleAttribute("data-running", button.dataset["experiment"] === name);
    }
  }

  #showState(tone: string, name: string, detail: string): void {
    const shown = find(HTMLElement, "#lab-state", this.#root);
    shown.dataset["state"] = tone;
    find(HTMLElement, ".state-name", shown).textContent = name;
    find(HTMLElement, ".state-detail", shown).textContent = detail;
  }

  #note(text: string): void {
    const item = make("li", "");
    item.append(make("time", "row-time", time.format(Date.now())), make("span", "", text));
    this.#notes.append(item);
    while (this.#notes.childElementCount > KEPT_NOTES) this.#notes.firstElementChild?.remove();
  }

  #drawAccount(): void {
    const published = this.#subject?.published ?? 0;
    const account = this.#subject?.ledger.account(published);
    const show = (name: string, value: number | undefined) => {
      find(HTMLElement, `[data-account="${name}"]`, this.#root).textContent =
        value === undefined ? "–" : value.toLocaleString("en");
    };
    show("published", account && published);
    show("received", account?.received);
    show("replayed", account?.replayed);
    show("skipped", account?.skipped);
    // What is still on its way is not missing yet.
    show("missing", account && (this.#running ? this.#subject!.ledger.account(0).missing : account.missing));
    show("duplicates", account?.duplicates);
    show("reordered", account?.outOfOrder);
  }

  #judge(): void {
    const { ledger, published } = this.#subject!;
    const { missing, duplicates, outOfOrder, skipped, received } = ledger.account(published);
    const kept = missing === 0 && duplicates === 0 && outOfOrder === 0;
    const told =
      skipped > 0
        ? ` ${skipped.toLocaleString("en")} were left out, and the stream said so before anything newer.`
        : "";
    this.#verdict(
      kept ? "kept" : "broken",
      kept
        ? `Promises kept: ${received.toLocaleString("en")} of ${published.toLocaleString("en")} events received in order, none twice, none lost in silence.${told}`
        : `Promises broken: ${missing} missing without a word, ${duplicates} twice, ${outOfOrder} out of order.`,
    );
    this.#drawAccount();
  }

  #verdict(verdict: "" | "kept" | "broken", text: string): void {
    const shown = find(HTMLElement, "#verdict", this.#root);
    shown.dataset["verdict"] = verdict;
    shown.textContent = text;
  }
}
