import { setUpBoard } from "./board.ts";
import { find } from "./element.ts";
import { clockFace, randomFace, statusFace, tickerFace } from "./faces.ts";
import type { FeedName } from "./feeds-shown.ts";
import { setUpJob } from "./job.ts";
import { openLink } from "./link.ts";
import type { Message } from "./messages.ts";
import { summarize } from "./summary.ts";
import { type Face, Tile } from "./tile.ts";

/** The summary is spoken by screen readers, so it waits a little: five reconnects, one sentence. */
const SETTLE_MS = 400;

const link = openLink({
  onMessage,
  onAlone: () => (find(HTMLElement, "#alone").hidden = false),
});

const tiles = new Map<FeedName, Tile>();
const addTile = (name: FeedName, face: (root: HTMLElement) => Face) => {
  const root = find(HTMLElement, `[data-feed="${name}"]`);
  tiles.set(name, new Tile(name, root, link, face(root)));
};
addTile("random", randomFace);
addTile("clock", clockFace);
addTile("ticker", tickerFace);
addTile("status", statusFace);
addTile("board", (root) => {
  setUpBoard(root);
  return () => {};
});
addTile("job", (root) => setUpJob(root, link));

const summary = find(HTMLElement, "#summary");
const sentence = find(Element, "#summary .state-name");
let settling: number | null = null;
const tabs = find(Element, "#tabs");

function onMessage(message: Message): void {
  if (message.tell === "tabs") {
    tabs.textContent = message.count > 1 ? `shared by ${message.count} tabs` : "";
    return;
  }
  if (message.tell === "entry") {
    tiles.get(message.feed)?.showEntry(message.entry);
    return;
  }
  if (message.tell === "snapshot") tiles.get(message.snapshot.name)?.showSnapshot(message.snapshot);
  else tiles.get(message.feed)?.showStatus(message.status);
  // Never put off again: feeds that retry without end would leave it as it was.
  settling ??= setTimeout(drawSummary, SETTLE_MS);
}

function drawSummary(): void {
  settling = null;
  // The job comes and goes; it says nothing about how the page is connected.
  const feeds = [...tiles].filter(([name]) => name !== "job").map(([, tile]) => tile.status);
  const now = summarize(feeds);
  summary.dataset["state"] = now.state;
  if (sentence.textContent !== now.sentence) sentence.textContent = now.sentence;
}
