import { setUpBoard } from "./board.ts";
import { Cockpit } from "./cockpit.ts";
import { find } from "./element.ts";
import { Explorer } from "./explorer.ts";
import { demosFace } from "./faces.ts";
import { type FeedStatus, WANTS_TOKEN } from "./feed.ts";
import { type FeedName, FEEDS } from "./feeds-shown.ts";
import { Feeds } from "./feeds.ts";
import { setUpJob } from "./job.ts";
import { Lab } from "./lab.ts";
import { openSharedSource } from "./shared-source.ts";
import { summarize } from "./summary.ts";
import { sharingWords } from "./sharing.ts";
import { watchTabs } from "./tabs.ts";
import { Tile } from "./tile.ts";
import { setUpTokenForm } from "./token-form.ts";
import { setUpViews } from "./views.ts";

/** The summary is spoken by screen readers, so it waits a little: three reconnects, one sentence. */
const SETTLE_MS = 400;

const cockpit = new Cockpit();
const feeds = new Feeds({
  platform: {
    openSource: openSharedSource,
    after(ms, task) {
      const timer = setTimeout(task, ms);
      return () => clearTimeout(timer);
    },
    now: Date.now,
  },
  onStatus(name, status) {
    statuses.set(name, status);
    if (name === "stats") cockpit.showStatus(status);
    else tiles[name].showStatus(status);
    // Never put off again: feeds that retry without end would leave it as it was.
    settling ??= setTimeout(drawSummary, SETTLE_MS);
  },
  onEntry(name, entry) {
    cockpit.take(name, entry);
    if (name !== "stats") tiles[name].showEntry(entry);
  },
  onJob: (topic) => tiles.job.begin(topic),
});

const statuses = new Map<FeedName, FeedStatus>();
let settling: number | null = null;
const root = (name: FeedName) => find(HTMLElement, `[data-feed="${name}"]`);
const tiles = {
  demos: new Tile(root("demos"), demosFace(root("demos")), controls("demos")),
  board: new Tile(root("board"), () => {}, controls("board")),
  job: new Tile(root("job"), setUpJob(root("job"), feeds), controls("job")),
} as const;

function controls(name: FeedName) {
  return { pause: () => feeds.pause(name), resume: () => feeds.resume(name) };
}

function drawSummary(): void {
  settling = null;
  const summary = find(HTMLElement, "#summary");
  const sentence = find(Element, "#summary .state-name");
  // The job comes and goes; it says nothing about how the page is connected.
  const all = FEEDS.flatMap(({ name }) => statuses.get(name) ?? []);
  const now = summarize(all);
  find(HTMLElement, "#token-form").hidden = !all.some(({ detail }) => detail.startsWith(WANTS_TOKEN));
  summary.dataset["state"] = now.state;
  if (sentence.textContent !== now.sentence) sentence.textContent = now.sentence;
}

setUpBoard(root("board"));
const explorer = new Explorer(find(HTMLElement, '[data-view="explorer"]'));
// It lives by its buttons.
void new Lab(find(HTMLElement, '[data-view="break"]'), cockpit.history);
setUpViews((name) => {
  explorer.shown = name === "explorer";
  cockpit.shown = name === "cockpit";
});
setUpTokenForm(() => feeds.reopen());

find(HTMLElement, "#alone").hidden = navigator.locks !== undefined;
watchTabs((sharing) => {
  const tabs = find(HTMLElement, "#tabs");
  const words = sharingWords(sharing);
  if (tabs.textContent !== words) tabs.textContent = words;
});
feeds.open();
