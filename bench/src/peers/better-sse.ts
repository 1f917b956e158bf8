import { fileURLToPath } from "node:url";
import { whyNoNode } from "./node.ts";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SCRIPT = fileURLToPath(new URL("./servers/better-sse.mjs", import.meta.url));

export const betterSse: Peer = {
  name: "better-sse",
  about: "better-sse's channel on node:http: encodes and writes for each event and client",
  topics: false,
  resumes: false,
  prepare: whyNoNode,
  start: (port) => startServer(port, { command: ["node", SCRIPT, String(port)] }),
};
