/** The part of Web Locks that sharing uses. */
export interface Locks {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    whenHeld: () => Promise<void>,
  ): Promise<unknown>;
}

/** What sharing needs of a browser; injected, so that tests can be all the tabs. */
export interface SharingPlatform {
  readonly locks: Locks;
  openChannel(name: string): BroadcastChannel;
}

/** Null where there are no locks: outside of browsers, and on pages that were not loaded over HTTPS or from localhost. */
export function browserPlatform(): SharingPlatform | null {
  const { locks } = (globalThis as { navigator?: { locks?: Locks } }).navigator ?? {};
  if (locks === undefined || typeof BroadcastChannel === "undefined") return null;
  return { locks, openChannel: (name) => new BroadcastChannel(name) };
}
