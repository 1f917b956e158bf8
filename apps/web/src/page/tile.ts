import { find } from "./element.ts";
import { type FeedEntry, type FeedSnapshot, type FeedState, type FeedStatus, MAX_ENTRIES } from "./feed.ts";
import type { FeedName } from "./feeds-shown.ts";
import type { Link } from "./link.ts";
import { Log } from "./log.ts";

/** Draws what is special about one tile. Called with the entries, oldest first, whenever anything has changed. */
export type Face = (entries: readonly FeedEntry[], status: FeedStatus) => void;

/** What every tile has: its state, its pause button, its log. The face draws the rest. */
export class Tile {
  readonly #root: HTMLElement;
  readonly #toggle: HTMLButtonElement;
  readonly #log: Log;
  readonly #face: Face;
  #entries: FeedEntry[] = [];
  #status: FeedStatus;

  constructor(name: FeedName, root: HTMLElement, link: Link, face: Face) {
    this.#root = root;
    this.#face = face;
    this.#status = { state: this.#root.dataset["state"] as FeedState, detail: "", held: false };
    const parts = find(HTMLTemplateElement, "#tile-parts").content.cloneNode(true) as DocumentFragment;
    const title = find(Element, "h2", this.#root).textContent;
    this.#toggle = find(HTMLButtonElement, "button", parts);
    this.#toggle.addEventListener("click", () => {
      link.send({ do: this.#status.state === "paused" ? "resume" : "pause", feed: name });
    });
    const scroller = find(HTMLElement, ".log", parts);
    scroller.setAttribute("aria-label", `${title}: latest events`);
    // Messages are worth hearing; a clock's every second is not.
    if (name === "board") scroller.setAttribute("role", "log");
    this.#log = new Log(find(HTMLElement, "ol", scroller), find(HTMLElement, ".log-empty", scroller));
    find(Element, "header", this.#root).append(this.#toggle, find(Element, ".state", parts));
    this.#root.append(scroller);
    this.#draw();
  }

  get status(): FeedStatus {
    return this.#status;
  }

  showSnapshot(snapshot: FeedSnapshot): void {
    this.#entries = [...snapshot.entries];
    this.#log.show(this.#entries);
    find(Element, ".topic", this.#root).textContent = snapshot.topic;
    this.showStatus(snapshot.status);
  }

  showStatus(status: FeedStatus): void {
    this.#status = status;
    this.#draw();
  }

  showEntry(entry: FeedEntry): void {
    this.#entries = [...this.#entries, entry].slice(-MAX_ENTRIES);
    this.#log.add(entry);
    this.#face(this.#entries, this.#status);
  }

  #draw(): void {
    const { state, detail, held } = this.#status;
    this.#root.dataset["state"] = state;
    find(Element, ".state-name", this.#root).textContent = state;
    const shown = find(HTMLElement, ".state-detail", this.#root);
    shown.textContent = detail;
    shown.title = detail;
    const title = find(Element, "h2", this.#root).textContent;
    const action = state === "paused" ? "Resume" : "Pause";
    this.#toggle.textContent = action;
    this.#toggle.setAttribute("aria-label", `${action} ${title}`);
    this.#toggle.disabled = held || state === "ended" || state === "idle";
    this.#face(this.#entries, this.#status);
  }
}
