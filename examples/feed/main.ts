import { subscribe } from "@sse/client";
import { EVENTS } from "../server.ts";

interface Post {
  readonly author: string;
  readonly text: string;
}

const list = document.querySelector("#feed")!;
const gap = document.querySelector<HTMLElement>("#gap")!;

// Nothing of a feed may be missing without a word.
const posts = subscribe<{ posts: Post }>(EVENTS, {
  topics: ["posts"],
  replay: 50,
  onGap: () => (gap.hidden = false),
});
for await (const { data } of posts) {
  const item = document.createElement("li");
  item.textContent = `${data.author}: ${data.text}`;
  list.prepend(item);
}
