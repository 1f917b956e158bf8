import { linePath, strokesPath } from "./drawing.ts";
import { find, make } from "./element.ts";
import { events } from "./events.ts";
import type { FeedEntry } from "./feed.ts";
import { statusFields } from "./status-fields.ts";
import type { Face } from "./tile.ts";

/** The newest number, and a line through the latest of them. */
export function randomFace(root: HTMLElement): Face {
  const figure = find(Element, ".figure", root);
  const line = find(Element, ".spark path", root);
  const slots = 30;
  return (entries) => {
    const latest = events(entries).at(-1);
    figure.textContent = latest ? shortNumber(latest.data) : "–";
    const numbers = events(entries).map((event) => Number(event.data));
    line.setAttribute("d", linePath(numbers.filter(Number.isFinite).slice(-slots), 100, 30, slots));
  };
}

/** The time of day out of the server's sentence, large; a stroke per second of the minute; the sentence itself. */
export function clockFace(root: HTMLElement): Face {
  const figure = find(Element, ".figure", root);
  const sentence = find(Element, ".caption", root);
  const [minute, elapsed] = root.querySelectorAll(".strokes path");
  minute?.setAttribute("d", secondsPath(60));
  return (entries) => {
    const data = events(entries).at(-1)?.data;
    const time = data?.match(/\d\d:\d\d:(\d\d)/);
    figure.textContent = time?.[0] ?? "--:--:--";
    elapsed?.setAttribute("d", time ? secondsPath(Number(time[1]) + 1) : "");
    sentence.textContent = data ?? "Waiting for the next second";
  };
}

/** The newest data, and one stroke per event of the last minute: a rhythm, and holes where it was lost. */
export function tickerFace(root: HTMLElement): Face {
  const figure = find(Element, ".figure", root);
  const strokes = find(Element, ".strokes path:last-child", root);
  return (entries) => {
    const latest = events(entries).at(-1);
    figure.textContent = latest?.data ?? "–";
    const times = events(entries).map((event) => event.at);
    strokes.setAttribute("d", strokesPath(times, latest?.at ?? 0, 60_000, 100, 20));
  };
}

/** Every field of the newest status, whatever the server put in. */
export function statusFace(root: HTMLElement): Face {
  const list = find(Element, ".fields", root);
  const waiting = find(HTMLElement, ".caption", root);
  let shown: FeedEntry | undefined;
  return (entries) => {
    const latest = events(entries).at(-1);
    waiting.hidden = latest !== undefined;
    if (latest === undefined || latest === shown) return;
    shown = latest;
    const fields = statusFields(parse(latest.data));
    list.replaceChildren(
      ...fields.flatMap((field) => {
        const value = make("dd", "", field.value);
        value.title = field.value;
        return [make("dt", "", field.name), value];
      }),
    );
  };
}

/** Strokes for the first `count` seconds of a minute. */
function secondsPath(count: number): string {
  const times = Array.from({ length: count }, (_, second) => second);
  return strokesPath(times, 59, 59, 100, 20);
}

function shortNumber(data: string): string {
  const value = Number(data);
  return Number.isFinite(value) && !Number.isInteger(value) ? value.toFixed(4) : data;
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return { status: data };
  }
}
