import { subscribe } from "@sse/client";
import { EVENTS, SERVER } from "../server.ts";

const button = document.querySelector<HTMLButtonElement>("#start")!;
const bar = document.querySelector<HTMLProgressElement>("#bar")!;
const status = document.querySelector("#status")!;

async function follow(topic: string): Promise<void> {
  // Its topic ends with the job, and so does the loop. A page that comes late sees all of it.
  for await (const { type, data } of subscribe(EVENTS, { topics: [topic], replay: "all", parse: null })) {
    if (type === "progress") bar.value = (JSON.parse(data as string) as { completion: number }).completion;
    else status.textContent = data as string;
  }
  status.textContent += " and over";
}

async function start(): Promise<void> {
  button.disabled = true;
  const response = await fetch(`${SERVER}/demo/jobs`, { method: "POST" });
  const { topic } = (await response.json()) as { topic: string };
  await follow(topic);
  button.disabled = false;
}

button.addEventListener("click", () => void start());
