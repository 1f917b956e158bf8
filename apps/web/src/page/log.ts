import { make } from "./element.ts";
import type { FeedEntry } from "./feed.ts";

/** Rows that are shown. */
const MAX_ROWS = 50;
/** Data longer than this gets a line of its own in a narrow log. */
const SHORT_DATA_LENGTH = 12;

const timeOfDay = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** The latest entries of a feed as rows, newest first. */
export class Log {
  readonly #list: HTMLElement;
  readonly #empty: HTMLElement;

  constructor(list: HTMLElement, empty: HTMLElement) {
    this.#list = list;
    this.#empty = empty;
  }

  clear(): void {
    this.#list.replaceChildren();
    this.#empty.hidden = false;
  }

  add(entry: FeedEntry): void {
    this.#list.prepend(row(entry));
    while (this.#list.childElementCount > MAX_ROWS) this.#list.lastElementChild?.remove();
    this.#empty.hidden = true;
  }
}

function row(entry: FeedEntry): HTMLElement {
  const item = make("li", `row row-${entry.kind}`);
  const time = make("time", "row-time", timeOfDay.format(entry.at));
  time.dateTime = new Date(entry.at).toISOString();
  if (entry.kind === "gap") {
    item.append(
      time,
      make("span", "row-type", "gap"),
      make("span", "row-data", `${entry.reason}: ${entry.from ?? "start"} – ${entry.to}`),
    );
    return item;
  }
  if (entry.data.length > SHORT_DATA_LENGTH) item.classList.add("row-long");
  item.dataset["eventId"] = entry.id;
  const type = make("span", "row-type", entry.type);
  if (entry.replayed) {
    type.classList.add("replayed");
    type.title = "Replayed: published before this stream began";
  }
  const id = make("span", "row-id");
  // An id's tail is what tells two apart. The style cuts its head; <bdi> keeps its own direction.
  id.append(make("bdi", "", entry.id));
  id.title = entry.id;
  item.append(time, type, make("span", "row-data", entry.data), id);
  return item;
}
