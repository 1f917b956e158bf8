import type { Command, Message } from "./messages.ts";

/** Where the bundled `feeds.worker.ts` is served; set by `build.ts`. */
declare const FEEDS_WORKER_URL: string;

const HERE_EVERY_MS = 30_000;

/** A tab's way to the feeds, wherever they run. */
export interface Link {
  send(command: Command): void;
}

export interface LinkOptions {
  onMessage(message: Message): void;
  /** Called when this browser has no SharedWorker, so that every tab opens connections of its own. */
  onAlone(): void;
}

/** Joins the feeds that all tabs share, or runs them in this page. */
export function openLink(options: LinkOptions): Link {
  let port: MessagePort | null = null;
  const send = (command: Command) => port?.postMessage(command);

  const join = (to: MessagePort) => {
    port = to;
    port.addEventListener("message", (event: MessageEvent<Message>) => options.onMessage(event.data));
    port.start();
    send({ do: "join" });
  };
  const runHere = async () => {
    options.onAlone();
    const { accept } = (await import(FEEDS_WORKER_URL)) as typeof import("./feeds.worker.ts");
    const channel = new MessageChannel();
    accept(channel.port2);
    join(channel.port1);
  };

  if (typeof SharedWorker === "undefined") void runHere();
  else {
    const worker = new SharedWorker(FEEDS_WORKER_URL, { type: "module", name: "feeds" });
    // Also a browser that knows SharedWorker but not as a module ends here.
    worker.addEventListener("error", () => void runHere(), { once: true });
    join(worker.port);
  }

  setInterval(() => send({ do: "here" }), HERE_EVERY_MS);
  addEventListener("pagehide", () => send({ do: "leave" }));
  // Back from the back/forward cache: everything since `leave` was missed.
  addEventListener("pageshow", (event) => {
    if (event.persisted) send({ do: "join" });
  });
  return { send };
}
