import { EventSource } from "@sse/client";
import { EVENTS } from "../server.ts";

const list = document.querySelector("#messages")!;
const events = new EventSource(`${EVENTS}?topic=messages&replay=20`);
events.addEventListener("message", ({ data }) => {
  const item = document.createElement("li");
  item.textContent = data;
  list.append(item);
});
events.addEventListener("error", ({ code, retryIn }) => console.warn(code, retryIn));
