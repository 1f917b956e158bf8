import { dlopen, ptr } from "bun:ffi";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * How many connections may wait to be accepted, in place of the 512 that Bun asks for: of ten thousand clients that come
 * back at once most would find the queue full, and try again a second later. On a socket that listens already, listen(2)
 * only changes the length of its queue. The kernel takes less, when `net.core.somaxconn` is less.
 */
const BACKLOG = 4096;
/** `TCP_LISTEN` in the kernel's tables. */
const LISTEN = "0A";

const SYMBOLS = {
  listen: { args: ["int", "int"], returns: "int" },
  setsockopt: { args: ["int", "int", "int", "ptr", "u32"], returns: "int" },
} as const;
type Libc = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

/* Of Linux's <sys/socket.h> and <netinet/tcp.h>. */
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;
const SO_ATTACH_FILTER = 26;
/** Questions to a silent peer before it counts as gone. */
const PROBES = 3;

/**
 * What Bun has no option for, done to the listening socket, from which every connection inherits it. Where this cannot be
 * done (another system than Linux, another libc) all stays as it is.
 *
 * @param peerTimeout see {@link keepAlive}; null: they are not dropped
 */
export function tuneListeningSocket(port: number, peerTimeout: number | null): void {
  onListeners(port, ({ listen, setsockopt }, descriptor) => {
    listen(descriptor, BACKLOG);
    if (peerTimeout === null) return;
    for (const [level, option, value] of keepAlive(peerTimeout)) {
      setsockopt(descriptor, level, option, ptr(new Int32Array([value])), 4);
    }
  });
}

/**
 * Lets nobody connect any more, and all who have go on: to be done a moment before the listening socket is closed, because
 * with it the kernel resets who is connected and not yet accepted, whose request may be on its way. Who comes meanwhile is
 * not answered, tries again after a second, and is refused. Where this cannot be done, nothing is.
 */
export function turnAwayConnections(port: number): void {
  // struct sock_fprog: how many instructions, and where they are.
  const program = new BigUint64Array([BigInt(NO_SYN.length), BigInt(ptr(NO_SYN))]);
  onListeners(port, ({ setsockopt }, descriptor) => {
    setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, ptr(program), program.byteLength);
  });
}

/** A packet filter in the kernel's instructions (its `struct sock_filter`): drops what begins a connection, and no more. */
const NO_SYN = BigUint64Array.from(
  [
    [0x30, 0, 0, 13], // load the flags of the TCP header
    [0x54, 0, 0, 0x12], // only SYN and ACK of them
    [0x15, 0, 1, 0x02], // unless it is SYN alone, skip what follows
    [0x06, 0, 0, 0], // drop
    [0x06, 0, 0, 0xffffffff], // keep
  ],
  ([code, ifTrue, ifFalse, value]) =>
    BigInt(code!) | (BigInt(ifTrue!) << 16n) | (BigInt(ifFalse!) << 24n) | (BigInt(value!) << 32n),
);

function onListeners(port: number, act: (libc: Libc, descriptor: number) => void): void {
  if (process.platform !== "linux") return;
  try {
    const libc = dlopen("libc.so.6", SYMBOLS);
    for (const descriptor of listeners(port)) act(libc.symbols, descriptor);
    libc.close();
  } catch {
    // As it is.
  }
}

/**
 * Drops connections whose peer has vanished without a word, as when a cable is pulled or a laptop is shut. What was sent
 * to it, heartbeats among it, waits for an acknowledgment, and Linux waits for that a quarter of an hour by itself; a
 * connection on which nothing is sent it never asks. A peer whose window stays shut is dropped too.
 */
function keepAlive(timeout: number): readonly (readonly [level: number, option: number, value: number])[] {
  return [
    [SOL_SOCKET, SO_KEEPALIVE, 1],
    [IPPROTO_TCP, TCP_KEEPIDLE, seconds(timeout / 2)],
    [IPPROTO_TCP, TCP_KEEPINTVL, seconds(timeout / 2 / PROBES)],
    [IPPROTO_TCP, TCP_KEEPCNT, PROBES],
    [IPPROTO_TCP, TCP_USER_TIMEOUT, timeout],
  ];
}

function seconds(milliseconds: number): number {
  return Math.max(1, Math.round(milliseconds / 1000));
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
