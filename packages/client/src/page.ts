/**
 * Tells of the life of the page that this runs in, if any, until the signal. A page in the back/forward cache, or
 * frozen, does not read: a server would take its stream for a slow one, or keep events in vain.
 */
export function watchPage(pauseWhenHidden: boolean, listener: PageListener, signal: AbortSignal): void {
  const { suspend, resume, online } = listener;
  const page = globalThis as { document?: PageDocument } & Partial<EventTarget>;
  const { document } = page;
  const on = (target: Partial<EventTarget>, type: string, task: () => void): void =>
    target.addEventListener?.(type, task, { signal });

  on(page, "online", online);
  if (document === undefined) return;
  const hidden = (): boolean => pauseWhenHidden && document.visibilityState === "hidden";
  const wake = (): void => {
    if (!hidden()) resume();
  };
  on(page, "pagehide", suspend);
  on(page, "pageshow", wake);
  on(document, "freeze", suspend);
  on(document, "resume", wake);
  on(document, "visibilitychange", () => (hidden() ? suspend() : resume()));
  if (hidden()) suspend();
}

export interface PageListener {
  /** The connection cannot be read from now on, or should not be. */
  readonly suspend: () => void;
  /** It can again. */
  readonly resume: () => void;
  /** The network is back. */
  readonly online: () => void;
}

/** The part of a document that the client looks at. Workers, Bun, Node and Deno have none. */
interface PageDocument extends EventTarget {
  readonly visibilityState?: string;
}
