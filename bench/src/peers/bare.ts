import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SCRIPT = fileURLToPath(new URL("./servers/bare.ts", import.meta.url));

export const bare: Peer = {
  name: "bare",
  about: "an Elysia POST route on Bun that parses the same JSON, answers with ids, and does nothing else",
  topics: false,
  resumes: false,
  publishOnly: true,
  prepare: () => Promise.resolve(null),
  start: (port) => startServer(port, { command: [process.execPath, SCRIPT, String(port)], takesJson: true }),
};
