import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SCRIPT = fileURLToPath(new URL("./servers/sketch.ts", import.meta.url));

export const sketch: Peer = {
  name: "sketch",
  about: "forty lines of Elysia on Bun: one shared frame per tick, no log, no topics",
  topics: false,
  resumes: false,
  prepare: () => Promise.resolve(null),
  start: (port) => startServer(port, { command: [process.execPath, SCRIPT, String(port)] }),
};
