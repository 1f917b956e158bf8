/** What better-sse asks for, and the bundle of our handler runs on. */
const LEAST_NODE = 20;

/** Why the peers on Node cannot run here, or null when they can. */
export async function whyNoNode(): Promise<string | null> {
  if (Bun.which("node") === null) return "node is not installed";
  // Bun puts itself in the place of a node that is missing.
  const version = await Bun.$`node -p "process.versions.bun ? 'Bun' : process.versions.node"`.text();
  return Number.parseInt(version) >= LEAST_NODE
    ? null
    : `node is ${version.trim()}, not ${LEAST_NODE} or later`;
}
