import { type Sharing, sharingOf, TAB_LOCK } from "./sharing.ts";

const LOOK_EVERY_MS = 1_000;

/** Watches who shares what. Does nothing where there are no locks: tabs share nothing there. */
export function watchTabs(onSharing: (sharing: Sharing) => void): void {
  const { locks } = navigator;
  if (locks === undefined) return;
  const own = TAB_LOCK + crypto.randomUUID();
  // Held for as long as the tab lives: a browser lets go of it even when the tab crashes.
  void locks.request(own, () => new Promise<never>(() => {}));
  const look = async () => {
    const { held = [] } = await locks.query();
    onSharing(sharingOf(held, own));
  };
  void look();
  setInterval(() => {
    if (document.visibilityState === "visible") void look();
  }, LOOK_EVERY_MS);
}
