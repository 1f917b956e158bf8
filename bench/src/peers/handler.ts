import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { binaryPath } from "./build.ts";
import { whyNoNode } from "./node.ts";
import type { Peer } from "./peer.ts";
import { startServer } from "./server-process.ts";

const SOURCE = fileURLToPath(new URL("./servers/handler.ts", import.meta.url));

/** The handler in a runtime that is not Bun. */
function inRuntime(
  runtime: string,
  about: string,
  flags: readonly string[],
  why: () => Promise<string | null>,
): Peer {
  const name = `hub-${runtime}`;
  const script = `${binaryPath(name)}.mjs`;
  return {
    name,
    about,
    topics: true,
    resumes: true,
    prepare: async () => (await why()) ?? bundle(script),
    start: (port) =>
      startServer(port, { command: [runtime, ...flags, script, String(port)], takesJson: true }),
  };
}

/** As one file, as applications are deployed: what runs does not depend on how a runtime loads TypeScript. */
async function bundle(output: string): Promise<string | null> {
  const { success, logs } = await Bun.build({
    entrypoints: [SOURCE],
    outdir: join(output, ".."),
    naming: output.slice(output.lastIndexOf("/") + 1),
    target: "node",
    throw: false,
  });
  return success ? null : logs.map(({ message }) => message).join("; ");
}

export const hubNode: Peer = inRuntime(
  "node",
  "this project's handler on node:http, its log in memory",
  [],
  whyNoNode,
);

export const hubDeno: Peer = inRuntime(
  "deno",
  "this project's handler on Deno.serve, its log in memory",
  ["run", "--allow-all", "--quiet"],
  () => Promise.resolve(Bun.which("deno") === null ? "deno is not installed" : null),
);
