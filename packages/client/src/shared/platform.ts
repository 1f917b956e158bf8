import { type Connect, connect } from "../connection.ts";
import { watchPage } from "../page.ts";

/** What sharing needs of a browser, and of the client; injected, so that tests can be all the tabs. */
export interface SharingPlatform {
  readonly locks: Locks;
  readonly connect: Connect;
  readonly watchPage: typeof watchPage;
  readonly Channel: new (name: string) => BroadcastChannel;
}

/** The part of Web Locks that sharing uses. */
export interface Locks {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    whenHeld: () => Promise<void>,
  ): Promise<unknown>;
}

/** Null where there are no locks: outside of browsers, and on pages that were not loaded over HTTPS or from localhost. */
export function browserPlatform(): SharingPlatform | null {
  const { navigator, BroadcastChannel: Channel } = globalThis as {
    navigator?: { locks?: Locks };
    BroadcastChannel?: typeof BroadcastChannel;
  };
  const locks = navigator?.locks;
  return locks && Channel ? { locks, Channel, connect, watchPage } : null;
}
