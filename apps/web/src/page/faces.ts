import { linePath, strokesPath } from "./drawing.ts";
import { find } from "./element.ts";
import { type EventEntry, events } from "./events.ts";
import type { Face } from "./tile.ts";

type Draw = (entries: readonly EventEntry[]) => void;

/** Numbers that the line goes through. */
const SLOTS = 30;

/** The three demo topics, told apart by what their events are: the type of one, the shape of another. */
export function demosFace(root: HTMLElement): Face {
  const part = (name: string) => find(HTMLElement, `[data-demo="${name}"]`, root);
  const [random, clock, ticker] = [
    randomFace(part("random")),
    clockFace(part("clock")),
    tickerFace(part("ticker")),
  ];
  return (entries) => {
    const all = events(entries);
    const plain = all.filter(({ type }) => type === "message");
    random(plain.filter(({ data }) => /^\d+$/.test(data)));
    // Replayed ones are not what time it is, nor a rhythm.
    const live = all.filter(({ replayed }) => !replayed);
    clock(live.filter(({ data }) => data.startsWith("The time is")));
    ticker(live.filter(({ type }) => type === "add"));
  };
}

/** The newest number, and a line through the latest of them. */
function randomFace(root: HTMLElement): Draw {
  const figure = find(Element, ".figure", root);
  const line = find(Element, ".spark path", root);
  return (entries) => {
    figure.textContent = entries.at(-1)?.data ?? "–";
    const numbers = entries.map(({ data }) => Number(data));
    line.setAttribute("d", linePath(numbers.slice(-SLOTS), 100, 30, SLOTS));
  };
}

/** The time of day out of the server's sentence, and a stroke per second of the minute. */
function clockFace(root: HTMLElement): Draw {
  const figure = find(Element, ".figure", root);
  const [minute, elapsed] = root.querySelectorAll(".strokes path");
  minute?.setAttribute("d", secondsPath(60));
  return (entries) => {
    const time = entries.at(-1)?.data.match(/\d\d:\d\d:(\d\d)/);
    figure.textContent = time?.[0] ?? "--:--:--";
    elapsed?.setAttribute("d", time ? secondsPath(Number(time[1]) + 1) : "");
  };
}

/** The newest data, and one stroke per event of the last minute: a rhythm, and holes where it was lost. */
function tickerFace(root: HTMLElement): Draw {
  const figure = find(Element, ".figure", root);
  const strokes = find(Element, ".strokes path:last-child", root);
  return (entries) => {
    const latest = entries.at(-1);
    figure.textContent = latest?.data ?? "–";
    const times = entries.map((event) => event.at);
    strokes.setAttribute("d", strokesPath(times, latest?.at ?? 0, 60_000, 100, 20));
  };
}

/** Strokes for the first `count` seconds of a minute. */
function secondsPath(count: number): string {
  const times = Array.from({ length: count }, (_, second) => second);
  return strokesPath(times, 59, 59, 100, 20);
}
