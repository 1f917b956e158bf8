import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SCRIPT = fileURLToPath(new URL("./servers/elysia-sse.ts", import.meta.url));

export const elysiaSse: Peer = {
  name: "elysia-sse",
  about: "Elysia's generator and sse() on Bun: a loop and a queue for each client",
  topics: false,
  resumes: false,
  prepare: () => Promise.resolve(null),
  start: (port) => startServer(port, { command: [process.execPath, SCRIPT, String(port)] }),
};
