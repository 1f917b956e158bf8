import { subscribe } from "@sse/client";
import { EVENTS } from "../server.ts";

interface Score {
  readonly match: string;
  readonly home: number;
  readonly away: number;
}

const table = document.querySelector<HTMLTableElement>("#scores")!;

// Of each match the newest score will do: publish with the match as `key`.
for await (const { data } of subscribe<{ "scores/**": Score }>(EVENTS, {
  topics: ["scores/**"],
  replay: "all",
  lag: "latest",
})) {
  const row = [...table.rows].find(({ cells }) => cells[0]?.textContent === data.match) ?? table.insertRow();
  row.replaceChildren();
  for (const text of [data.match, `${data.home} : ${data.away}`]) row.insertCell().textContent = text;
}
