import { subscribe } from "@sse/client";
import { EVENTS } from "../server.ts";

const answer = document.querySelector("#answer")!;
const state = document.querySelector("#state")!;
const topic = new URLSearchParams(location.search).get("topic") ?? "answers/1";

// A model's answer is a topic: who writes it publishes each token, then the end. A page that is reloaded reads it
// from the beginning, one that loses its connection goes on at the token where it was, and neither costs a second run
// of the model.
for await (const { data } of subscribe<{ [topic: string]: string }>(EVENTS, {
  topics: [topic],
  replay: "all",
  parse: null,
  onError: () => (state.textContent = "reconnecting"),
  onOpen: () => (state.textContent = "answering"),
})) {
  answer.append(data);
}
state.textContent = "done";
