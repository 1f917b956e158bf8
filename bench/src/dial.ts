import type { Socket } from "bun";
import type { Target } from "./target.ts";

/** Who a socket belongs to; told which, because one that was closed may still speak after the next has been opened. */
export interface SocketUser {
  received(socket: Wired, bytes: Buffer): void;
  /** There is room again for what `write` did not take. */
  drained(socket: Wired): void;
  closed(socket: Wired): void;
}

interface Wire {
  readonly user: SocketUser;
  readonly insecure: boolean;
  /** Settles the handshake; null without TLS. */
  readonly shaken: PromiseWithResolvers<void> | null;
}

export type Wired = Socket<Wire>;

/**
 * Opens a raw connection; resolves when it can be written to.
 *
 * @param source the local address to connect from; null leaves it to the system
 * @throws what `Bun.connect` does, or what is wrong with the certificate
 */
export async function dial(
  { address, port, tlsName, insecure }: Target,
  user: SocketUser,
  source: string | null = null,
): Promise<Wired> {
  const shaken = tlsName === null ? null : Promise.withResolvers<void>();
  const socket = await Bun.connect<Wire>({
    hostname: address,
    port,
    // Bun takes it, though its types do not have it.
    ...(source === null ? {} : { localAddress: source }),
    ...(tlsName === null ? {} : { tls: { serverName: tlsName, rejectUnauthorized: !insecure } }),
    data: { user, insecure, shaken },
    socket: HANDLERS,
  });
  // With a handler for the handshake, Bun's own promise does not wait for it.
  await shaken?.promise;
  return socket;
}

/** Shared by all: handlers of their own would cost every connection some kilobytes. */
const HANDLERS = {
  data: (socket: Wired, bytes: Buffer) => socket.data.user.received(socket, bytes),
  drain: (socket: Wired) => socket.data.user.drained(socket),
  close: (socket: Wired) => {
    const { user, shaken } = socket.data;
    shaken?.reject(new Error("the connection was closed in the handshake"));
    user.closed(socket);
  },
  handshake: ({ data: { shaken, insecure } }: Wired, authorized: boolean, error: Error | null) => {
    if (authorized || insecure) shaken?.resolve();
    else shaken?.reject(error ?? new Error("the certificate is not trusted"));
  },
  error: () => {},
};
