import { subscribe } from "@sse/client";
import { EVENTS } from "../server.ts";

/** A figure of a live dashboard: only the newest of each name counts, also of those that were missed. */
interface Figure {
  readonly name: string;
  readonly value: number;
}

const list = document.querySelector("#figures")!;
const state = document.querySelector("#state")!;
const figures = new Map<string, number>();

// All tabs of the dashboard share a connection, which is let go while nobody looks.
const updates = subscribe<{ "metrics/*": Figure }>(EVENTS, {
  topics: ["metrics/*"],
  lag: "latest",
  shared: true,
  pauseWhenHidden: true,
  onOpen: () => (state.textContent = "live"),
  onError: ({ code }) => (state.textContent = `reconnecting: ${code}`),
});
for await (const { data } of updates) {
  figures.set(data.name, data.value);
  list.replaceChildren(
    ...[...figures].map(([name, value]) => {
      const item = document.createElement("dd");
      item.textContent = `${name} ${value}`;
      return item;
    }),
  );
}
