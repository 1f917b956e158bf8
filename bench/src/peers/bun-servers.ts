import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

/** A peer of one topic that is a script for Bun. */
function onBun(name: string, script: URL, about: string, takesJson = false): Peer {
  return {
    name,
    about,
    topics: false,
    resumes: false,
    prepare: () => Promise.resolve(null),
    start: (port) =>
      startServer(port, { command: [process.execPath, fileURLToPath(script), String(port)], takesJson }),
  };
}

export const bare: Peer = {
  ...onBun(
    "bare",
    new URL("./servers/bare.ts", import.meta.url),
    "an Elysia POST route on Bun that parses the same JSON, answers with ids, and does nothing else",
    true,
  ),
  publishOnly: true,
};

export const elysiaSse = onBun(
  "elysia-sse",
  new URL("./servers/elysia-sse.ts", import.meta.url),
  "Elysia's generator and sse() on Bun: a loop and a queue for each client",
);

export const hono = onBun(
  "hono",
  new URL("./servers/hono.ts", import.meta.url),
  "Hono's streamSSE on Bun: a loop and a queue for each client, and a write for each event",
);

export const sketch = onBun(
  "sketch",
  new URL("./servers/sketch.ts", import.meta.url),
  "forty lines of Elysia on Bun: one shared frame per tick, no log, no topics",
);
