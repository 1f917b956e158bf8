import { fileURLToPath } from "node:url";
import { binaryPath, build } from "./build.ts";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SOURCE = fileURLToPath(new URL("./servers/floor.c", import.meta.url));

function variant(name: string, about: string, flags: readonly string[]): Peer {
  return {
    name,
    about,
    topics: flags.includes("--topics"),
    resumes: false,
    prepare: () => build("floor", SOURCE, (source, output) => ["cc", "-O2", "-o", output, source]),
    start: (port) => startServer(port, { command: [binaryPath("floor"), String(port), ...flags] }),
  };
}

export const floor = variant(
  "floor",
  "C, epoll: one send(2) for each event and stream, and nothing else; then the publisher is answered",
  [],
);

export const floorTick = variant(
  "floor-tick",
  "the same server: answers the publishers of a turn, then sends its events in one send(2) for each stream",
  ["--tick"],
);

export const floorTopics = variant(
  "floor-topics",
  "the first of these with a hash table: one send(2) for each event and stream of its topic; then the publisher is answered",
  ["--topics"],
);
