import { subscribe } from "@sse/client";
import { EVENTS } from "../server.ts";

interface Trade {
  readonly price: number;
}

const output = document.querySelector("#price")!;
let newest: number | null = null;

// Prices may come faster than a screen can show them: read all, draw the newest.
function draw(): void {
  if (newest !== null) output.textContent = newest.toFixed(2);
  newest = null;
}

for await (const { data } of subscribe<{ "trades/*": Trade }>(EVENTS, {
  topics: ["trades/ACME"],
  replay: 1,
})) {
  if (newest === null) requestAnimationFrame(draw);
  newest = data.price;
}
