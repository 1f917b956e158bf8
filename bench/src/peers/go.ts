import { fileURLToPath } from "node:url";
import { binaryPath, build } from "./build.ts";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SOURCE = fileURLToPath(new URL("./servers/go/main.go", import.meta.url));

export const go: Peer = {
  name: "go",
  about: "the tutorials' net/http server, GOMAXPROCS=1: a goroutine, a channel and a Flush for each client",
  topics: false,
  resumes: false,
  prepare: () => build("go", SOURCE, (source, output) => ["go", "build", "-o", output, source]),
  start: (port) => startServer(port, { command: [binaryPath("go"), String(port)], env: { GOMAXPROCS: "1" } }),
};
