import { find, make } from "./element.ts";
import { bytes } from "./quantity.ts";
import { wireLines } from "./wire-lines.ts";
import type { WireEvent } from "./wire-reader.ts";
import { MAX_RAW_BYTES } from "./wire-splitter.ts";

const MARKS = { LF: "\\n", CR: "\\r", CRLF: "\\r\\n", "": "" } as const;
const time = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

/** Shows one event: what a client sees of it, and the very bytes that it came as. */
export class Inspector {
  readonly #root: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #body: HTMLElement;
  #shown: WireEvent | null = null;

  constructor(root: HTMLElement, onResume: (id: string) => void) {
    this.#root = root;
    this.#empty = find(HTMLElement, ".empty", root);
    this.#body = find(HTMLElement, ".inspected", root);
    find(HTMLButtonElement, "#resume-here", root).addEventListener("click", () => {
      if (this.#shown !== null) onResume(this.#shown.id);
    });
  }

  show(event: WireEvent | null): void {
    this.#shown = event;
    this.#empty.hidden = event !== null;
    this.#body.hidden = event === null;
    if (event === null) return;
    const fields: [string, string][] = [
      ["Type", event.type],
      ["Id", event.id === "" ? "none" : event.id],
      ["Arrived", time.format(event.at)],
      ["On the wire", `${event.size.toLocaleString("en")} bytes`],
    ];
    find(HTMLElement, ".fields", this.#root).replaceChildren(
      ...fields.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]),
    );
    find(HTMLElement, "#inspected-data", this.#root).textContent = pretty(event.data);
    find(HTMLElement, "#wire tbody", this.#root).replaceChildren(...wireRows(event));
    const rest = event.size - event.raw.length;
    find(HTMLElement, "#wire-rest", this.#root).textContent =
      rest > 0 ? `The first ${bytes(MAX_RAW_BYTES)} are shown; ${bytes(rest)} more were not kept.` : "";
  }
}

function wireRows(event: WireEvent): HTMLElement[] {
  return wireLines(event.raw).map(({ offset, text, end, meaning }) => {
    const row = make("tr", "");
    const line = make("code", "wire-text", text);
    line.append(make("span", "wire-end", MARKS[end]));
    const cell = make("td", "");
    cell.append(line);
    row.append(make("td", "wire-offset", String(offset)), cell, make("td", "wire-meaning", meaning));
    return row;
  });
}

/** JSON on several lines; anything else as it is. */
function pretty(data: string): string {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : data;
  } catch {
    return data;
  }
}
