import type { ServerSentEvent } from "@sse/protocol";

/** First on every stream: where it begins. `reset`: not where the client was, for this reason. */
export interface Ready {
  /** Whether it begins where the client was. */
  readonly resume: "fresh" | "resumed" | "reset";
  /** How many events stand between the client's cursor and now. */
  readonly replayed: number;
  /** Why it does not, with `reset`. */
  readonly reason?: string;
}

/** Before the first event after a hole: what is after `from`, up to and with `to`, was missed. */
export interface Gap {
  /** Why it can no longer be given. */
  readonly reason: "evicted" | "epoch" | "unknown-id" | "lag";
  /** The cursor before the hole; null when there was none. */
  readonly from: string | null;
  /** The last event of the hole: the stream goes on after it. */
  readonly to: string;
}

/** A topic has ended. */
export interface End {
  /** Which one. */
  readonly topic: string;
}

/** The server is about to close the stream; the client will be back. */
export interface Closing {
  /** Why; a later server may have other reasons. */
  readonly reason: "drain" | "slow" | "overload" | "auth-expired" | (string & {});
  /** Milliseconds. */
  readonly retry: number;
}

/** Called in their place among the events, when the consumer has come to it. */
export interface ControlCallbacks {
  /** A stream is open, and begins here. */
  onReady?: ((ready: Ready) => void) | undefined;
  /** Events are missing. Without it nobody hears of that. */
  onGap?: ((gap: Gap) => void) | undefined;
  /** A topic has ended. */
  onEnd?: ((end: End) => void) | undefined;
  /** The server is about to close the stream. */
  onClosing?: ((closing: Closing) => void) | undefined;
}

const CALLBACKS = {
  "sse:ready": "onReady",
  "sse:gap": "onGap",
  "sse:end": "onEnd",
  "sse:closing": "onClosing",
} as const satisfies Record<string, keyof ControlCallbacks>;

/** The hub's own events, of which a later one may have more: those are for nobody yet. */
export function isControl({ type }: ServerSentEvent): boolean {
  return type.startsWith("sse:");
}

/** Calls the callback that there is for the event, if any. */
export function tell(callbacks: ControlCallbacks, event: ServerSentEvent): void {
  const name = CALLBACKS[event.type as keyof typeof CALLBACKS] as keyof ControlCallbacks | undefined;
  const callback = name && (callbacks[name] as ((value: unknown) => void) | undefined);
  callback?.(fieldsOf(event));
}

/** What a control event says; nothing, should it come from a server that means something else by its type. */
export function fieldsOf({ data }: ServerSentEvent): Record<string, unknown> {
  try {
    return JSON.parse(data) as Record<string, unknown>;
  } catch {
    return {};
  }
}
