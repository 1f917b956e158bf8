import { dlopen } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The kernel takes less, when `net.core.somaxconn` is less. */
const BACKLOG = 4096;
/** `TCP_LISTEN` in the kernel's tables. */
const LISTEN = "0A";

/**
 * Lets more connections wait to be accepted than the 512 that Bun asks for and has no option for: of ten thousand clients
 * that come back at once most would find the queue full, and try again a second later. On a socket that listens already,
 * listen(2) only changes the length of its queue. Where this cannot be done (another system than Linux, another libc) the
 * queue stays as it is.
 */
export function raiseBacklog(port: number): void {
  if (process.platform !== "linux") return;
  try {
    const libc = dlopen("libc.so.6", { listen: { args: ["int", "int"], returns: "int" } });
    for (const descriptor of listeners(port)) libc.symbols.listen(descriptor, BACKLOG);
    libc.close();
  } catch {
    // As it is.
  }
}

/** The descriptors of this process that listen on the port. */
function listeners(port: number): number[] {
  const inodes = new Set<string>();
  for (const table of ["/proc/self/net/tcp", "/proc/self/net/tcp6"]) {
    for (const line of readFileSync(table, "utf8").split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      if (state === LISTEN && parseInt(local.slice(local.indexOf(":") + 1), 16) === port)
        inodes.add(`socket:[${inode}]`);
    }
  }
  return readdirSync("/proc/self/fd")
    .filter((descriptor) => inodes.has(linkOf(`/proc/self/fd/${descriptor}`)))
    .map(Number);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // it was the one that read the directory
  }
}
