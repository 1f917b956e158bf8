import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SCRIPT = fileURLToPath(new URL("./servers/hono.ts", import.meta.url));

export const hono: Peer = {
  name: "hono",
  about: "Hono's streamSSE on Bun: a loop and a queue for each client, and a write for each event",
  topics: false,
  resumes: false,
  prepare: () => Promise.resolve(null),
  start: (port) => startServer(port, { command: [process.execPath, SCRIPT, String(port)] }),
};
