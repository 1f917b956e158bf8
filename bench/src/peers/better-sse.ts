import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SCRIPT = fileURLToPath(new URL("./servers/better-sse.mjs", import.meta.url));
/** What better-sse asks for. */
const LEAST_NODE = 20;

export const betterSse: Peer = {
  name: "better-sse",
  about: "better-sse's channel on node:http: encodes and writes for each event and client",
  topics: false,
  resumes: false,
  async prepare() {
    if (Bun.which("node") === null) return "node is not installed";
    // Bun puts itself in the place of a node that is missing.
    const version = await Bun.$`node -p "process.versions.bun ? 'Bun' : process.versions.node"`.text();
    return Number.parseInt(version) >= LEAST_NODE
      ? null
      : `node is ${version.trim()}, not ${LEAST_NODE} or later`;
  },
  start: (port) => startServer(port, { command: ["node", SCRIPT, String(port)] }),
};
