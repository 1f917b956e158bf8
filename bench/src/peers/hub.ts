import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const MAIN = fileURLToPath(new URL("../../../apps/server/src/main.ts", import.meta.url));

export const hub: Peer = {
  name: "hub",
  about:
    "this project's server with its defaults: a log, ids, topics; one shared frame and one write per stream and turn",
  topics: true,
  resumes: true,
  prepare: () => Promise.resolve(null),
  start: (port) =>
    startServer(port, {
      command: [process.execPath, MAIN, "--no-demos", "--log-level", "error", "--port", String(port)],
    }),
};
