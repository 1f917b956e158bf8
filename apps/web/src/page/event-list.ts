import { make } from "./element.ts";
import { oncePerFrame } from "./once-per-frame.ts";
import type { EventRing, NumberedEvent } from "./event-ring.ts";

/** Pixels; the style sheet gives rows the same. */
const ROW_HEIGHT = 26;
/** Rows beyond the edges of what is seen. */
const MARGIN = 4;

const timeOfDay = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export interface EventListOptions {
  /** The element with the scroll bar, a listbox. */
  readonly root: HTMLElement;
  readonly ring: EventRing;
  readonly onSelect: (event: NumberedEvent) => void;
  /** How many have come since the list was stopped; 0 while it follows. */
  readonly onBehind: (count: number) => void;
}

/**
 * The newest events as rows, newest first. However many come, an animation frame draws once, and only the rows that are
 * seen. Whoever scrolls down, selects or pauses reads in peace: the list stands still until it is told to follow.
 */
export class EventList {
  readonly #options: EventListOptions;
  readonly #canvas: HTMLElement;
  readonly #rows: HTMLElement[] = [];
  /** The number of the newest event that is shown while the list stands still; null while it follows. */
  #held: number | null = null;
  #paused = false;
  #selected = 0;
  readonly draw = oncePerFrame(() => this.#drawNow());

  constructor(options: EventListOptions) {
    this.#options = options;
    const { root } = options;
    this.#canvas = make("div", "rows");
    this.#canvas.setAttribute("role", "presentation");
    root.append(this.#canvas);
    root.addEventListener("scroll", () => {
      this.#hold(root.scrollTop > 0 || this.#paused);
      this.draw();
    });
    root.addEventListener("click", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("[data-number]");
      if (row !== null) this.select(Number(row.dataset["number"]));
    });
    root.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.draw()).observe(root);
  }

  set paused(paused: boolean) {
    this.#paused = paused;
    if (!paused) this.#options.root.scrollTop = 0;
    this.#hold(paused);
    this.draw();
  }

  select(number: number): void {
    const event = this.#options.ring.get(number);
    if (event === undefined) return;
    this.#selected = number;
    this.#options.onSelect(event);
    this.draw();
  }

  clear(): void {
    this.#held = this.#paused ? 0 : null;
    this.#selected = 0;
    this.#options.root.scrollTop = 0;
    this.draw();
  }

  #hold(hold: boolean): void {
    if (hold) this.#held ??= this.#options.ring.total;
    else this.#held = null;
  }

  get #newest(): number {
    return this.#held ?? this.#options.ring.total;
  }

  /** Events that the list goes over now: those that have gone since it was stopped leave blank rows behind. */
  get #count(): number {
    return Math.min(this.#newest, this.#options.ring.length);
  }

  #drawNow(): void {
    const { root, ring, onBehind } = this.#options;
    const count = this.#count;
    const height = `${count * ROW_HEIGHT}px`;
    if (this.#canvas.style.height !== height) this.#canvas.style.height = height;
    const first = Math.max(0, Math.floor(root.scrollTop / ROW_HEIGHT) - MARGIN);
    const last = Math.min(count, Math.ceil((root.scrollTop + root.clientHeight) / ROW_HEIGHT) + MARGIN);
    for (let place = first; place < last; place++) {
      const row = (this.#rows[place - first] ??= this.#newRow());
      this.#fill(row, place, ring.get(this.#newest - place));
    }
    for (const row of this.#rows.slice(Math.max(0, last - first))) row.hidden = true;
    onBehind(ring.total - this.#newest);
  }

  #newRow(): HTMLElement {
    const row = make("div", "event-row");
    row.setAttribute("role", "option");
    row.append(
      make("span", "row-time"),
      make("span", "row-type"),
      make("span", "row-data"),
      make("span", "row-id"),
    );
    this.#canvas.append(row);
    return row;
  }

  #fill(row: HTMLElement, place: number, event: NumberedEvent | undefined): void {
    row.hidden = event === undefined;
    if (event === undefined) return;
    row.style.transform = `translateY(${place * ROW_HEIGHT}px)`;
    const selected = event.number === this.#selected;
    row.setAttribute("aria-selected", String(selected));
    if (selected) this.#options.root.setAttribute("aria-activedescendant", `event-${event.number}`);
    if (row.dataset["number"] === String(event.number)) return;
    row.dataset["number"] = String(event.number);
    row.id = `event-${event.number}`;
    row.dataset["kind"] = event.type.startsWith("sse:") ? event.type.slice(4) : "event";
    const [time, type, data, id] = row.children as unknown as HTMLElement[];
    time!.textContent = timeOfDay.format(event.at);
    type!.textContent = event.type;
    data!.textContent = event.data.slice(0, 400);
    id!.textContent = event.id;
  }

  #onKey(event: KeyboardEvent): void {
    const { root, ring } = this.#options;
    const page = Math.max(1, Math.floor(root.clientHeight / ROW_HEIGHT) - 1);
    const steps: Record<string, number> = {
      ArrowDown: -1,
      ArrowUp: 1,
      PageDown: -page,
      PageUp: page,
      Home: Infinity,
      End: -Infinity,
    };
    const step = steps[event.key];
    if (step === undefined || this.#count === 0) return;
    event.preventDefault();
    const newest = this.#newest;
    const start =
      this.#selected === 0 || ring.get(this.#selected) === undefined ? newest + 1 : this.#selected;
    const number = Math.max(newest - this.#count + 1, Math.min(newest, start + step));
    this.#hold(true);
    this.select(number);
    const top = (newest - number) * ROW_HEIGHT;
    if (top < root.scrollTop) root.scrollTop = top;
    else if (top + ROW_HEIGHT > root.scrollTop + root.clientHeight)
      root.scrollTop = top + ROW_HEIGHT - root.clientHeight;
  }
}
