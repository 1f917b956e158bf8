/**
 * The feeds, once for all tabs of this origin: the standard's own advice for the connection limit (WHATWG HTML 9.2.7).
 * Runs as a SharedWorker. Where that is missing a page imports this very module and calls {@link accept} itself.
 */
import { Feeds } from "./feeds.ts";
import type { Command, Message } from "./messages.ts";

/** A tab says `here` twice a minute. Browsers slow a hidden tab's timers to one a minute, so this is two and a half. */
const TAB_SILENCE_MS = 150_000;

const lastHeard = new Map<MessagePort, number>();

const feeds = new Feeds(
  {
    openSource: (url) => new EventSource(url),
    statusOf: (url) =>
      fetch(url, { method: "HEAD" }).then(
        ({ status }) => status,
        () => 0,
      ),
    after(ms, task) {
      const timer = setTimeout(task, ms);
      return () => clearTimeout(timer);
    },
    now: Date.now,
    random: Math.random,
  },
  tellAll,
);

/** Takes a tab in. It gets a snapshot when it says `join`, and every message from then on. */
export function accept(port: MessagePort): void {
  port.addEventListener("message", (event: MessageEvent<Command>) => {
    const command = event.data;
    if (command.do === "leave") {
      drop(port);
      return;
    }
    const known = lastHeard.has(port);
    lastHeard.set(port, Date.now());
    // A tab that was frozen for long comes back with `here`: it was forgotten and needs to catch up.
    if (command.do === "join" || !known) welcome(port);
    if (command.do !== "join" && command.do !== "here") feeds.run(command);
  });
  // Where a browser tells of a dead tab, no need to wait for its silence.
  port.addEventListener("close", () => drop(port));
  port.start();
}

function welcome(port: MessagePort): void {
  for (const message of feeds.snapshots()) port.postMessage(message);
  tellTabs();
}

function drop(port: MessagePort): void {
  if (lastHeard.delete(port)) tellTabs();
}

function tellTabs(): void {
  tellAll({ tell: "tabs", count: lastHeard.size });
}

function tellAll(message: Message): void {
  for (const port of lastHeard.keys()) port.postMessage(message);
}

setInterval(() => {
  for (const [port, heard] of lastHeard) if (Date.now() - heard > TAB_SILENCE_MS) drop(port);
}, TAB_SILENCE_MS / 2);

addEventListener("connect", (event) => {
  for (const port of (event as MessageEvent).ports) accept(port);
});
