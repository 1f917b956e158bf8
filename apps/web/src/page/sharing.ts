/** How the tabs of this page share its connections, as the locks tell that they do it by. */
export interface Sharing {
  readonly tabs: number;
  /** Shared connections that there are, and that this tab holds for all. */
  readonly connections: number;
  readonly held: number;
}

/** What the lock of a tab begins with. */
export const TAB_LOCK = "page tab ";
/** What the client's locks begin with; their names hold the URL that is shared. */
const CONNECTION_LOCK = "sse [";

/** A lock that is held, as a browser tells of it. */
interface HeldLock {
  readonly name?: string;
  readonly clientId?: string;
}

/** @param own the name of this tab's lock */
export function sharingOf(held: readonly HeldLock[], own: string): Sharing {
  const self = held.find(({ name }) => name === own)?.clientId;
  const connections = held.filter(({ name }) => name?.startsWith(CONNECTION_LOCK));
  return {
    tabs: held.filter(({ name }) => name?.startsWith(TAB_LOCK)).length,
    connections: connections.length,
    held: connections.filter(({ clientId }) => clientId === self).length,
  };
}

/** In words; none for a tab that is alone. */
export function sharingWords({ tabs, connections, held }: Sharing): string {
  if (tabs < 2) return "";
  const whose =
    held === connections ? "this one leads" : held === 0 ? "another one leads" : `this one leads ${held}`;
  return `${tabs} tabs share ${connections} connections: ${whose}`;
}
