import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Peer, RunningPeer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const MAIN = fileURLToPath(new URL("../../../apps/server/src/main.ts", import.meta.url));

/** The generator is one address, and opens as many streams as it can: what gives way must not be a limit that can be set. */
const UNLIMITED =
  "--max-streams-per-address off --max-streams off --max-descriptors off --max-memory off --max-lag off".split(
    " ",
  );

const common = { topics: true, resumes: true, prepare: () => Promise.resolve(null) };

function start(port: number, log: string, cleanUp?: () => Promise<void>): Promise<RunningPeer> {
  const flags = ["--no-demos", "--log-level", "error", "--port", String(port), "--log", log, ...UNLIMITED];
  return startServer(port, {
    command: [process.execPath, MAIN, ...flags],
    takesJson: true,
    ...(cleanUp && { cleanUp }),
  });
}

export const hub: Peer = {
  ...common,
  name: "hub",
  about:
    "this project's server with its log in memory: ids, topics; one shared frame and one write per stream and turn",
  start: (port) => start(port, "memory:"),
};

export const hubSqlite: Peer = {
  ...common,
  name: "hub-sqlite",
  about: "the same with its default log: a SQLite file, committed to once per turn",
  start: async (port) => {
    const folder = await mkdtemp(join(tmpdir(), "sse-bench-"));
    return start(port, `sqlite:${join(folder, "events.db")}`, () => rm(folder, { recursive: true }));
  },
};
