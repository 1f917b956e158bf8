import { find } from "./element.ts";
import type { FeedEntry, FeedState, FeedStatus } from "./feed.ts";
import { Log } from "./log.ts";
import { oncePerFrame } from "./once-per-frame.ts";

/** Draws what is special about one tile. Called with the entries, oldest first, whenever anything has changed. */
export type Face = (entries: readonly FeedEntry[], status: FeedStatus) => void;

/** What the tile's button does. */
interface TileControls {
  pause(): void;
  resume(): void;
}

/** Entries that a face is given: the half minute before now, and more. */
const MAX_ENTRIES = 200;

/** What every tile has: its state, its pause button, its log. The face draws the rest. */
export class Tile {
  readonly #root: HTMLElement;
  readonly #toggle: HTMLButtonElement;
  readonly #log: Log;
  readonly #face: Face;
  #entries: FeedEntry[] = [];
  #status: FeedStatus;
  /** A replay brings a hundred entries at once. */
  readonly #drawFace = oncePerFrame(() => this.#face(this.#entries, this.#status));

  constructor(root: HTMLElement, face: Face, controls: TileControls) {
    this.#root = root;
    this.#face = face;
    this.#status = { state: this.#root.dataset["state"] as FeedState, detail: "" };
    const parts = find(HTMLTemplateElement, "#tile-parts").content.cloneNode(true) as DocumentFragment;
    const title = find(Element, "h2", this.#root).textContent;
    this.#toggle = find(HTMLButtonElement, "button", parts);
    this.#toggle.addEventListener("click", () => {
      if (this.#status.state === "paused") controls.resume();
      else controls.pause();
    });
    const scroller = find(HTMLElement, ".log", parts);
    scroller.setAttribute("aria-label", `${title}: latest events`);
    // Messages are worth hearing; a clock's every second is not.
    if (root.dataset["feed"] === "board") scroller.setAttribute("role", "log");
    const empty = find(HTMLElement, ".log-empty", scroller);
    empty.append(` ${root.dataset["empty"]}`);
    this.#log = new Log(find(HTMLElement, "ol", scroller), empty);
    find(Element, "header", this.#root).append(this.#toggle, find(Element, ".state", parts));
    this.#root.append(scroller);
    this.#draw();
  }

  /** Of another topic from now on. */
  begin(topic: string): void {
    this.#entries = [];
    this.#log.clear();
    find(Element, ".topic", this.#root).textContent = topic;
  }

  showStatus(status: FeedStatus): void {
    this.#status = status;
    this.#draw();
  }

  showEntry(entry: FeedEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > MAX_ENTRIES) this.#entries.shift();
    this.#log.add(entry);
    this.#drawFace();
  }

  #draw(): void {
    const { state, detail } = this.#status;
    this.#root.dataset["state"] = state;
    find(Element, ".state-name", this.#root).textContent = state;
    const shown = find(HTMLElement, ".state-detail", this.#root);
    shown.textContent = detail;
    shown.title = detail;
    const title = find(Element, "h2", this.#root).textContent;
    const action = state === "paused" ? "Resume" : "Pause";
    this.#toggle.textContent = action;
    this.#toggle.setAttribute("aria-label", `${action} ${title}`);
    this.#toggle.disabled = state === "ended" || state === "idle";
    this.#face(this.#entries, this.#status);
  }
}
