import type { ServerSentEvent } from "@sse/protocol";

/** First on every stream: where it begins. `reset`: not where the client was, for this reason. */
export interface Ready {
  readonly resume: "fresh" | "resumed" | "reset";
  /** How many events stand between the client's cursor and now. */
  readonly replayed: number;
  readonly reason?: string;
}

/** Before the first event after a hole: what is after `from`, up to and with `to`, was missed. */
export interface Gap {
  readonly reason: "evicted" | "epoch" | "unknown-id" | "lag";
  readonly from: string | null;
  readonly to: string;
}

/** A topic has ended. */
export interface End {
  readonly topic: string;
}

/** The server is about to close the stream; the client will be back. */
export interface Closing {
  readonly reason: "drain" | "slow" | "overload" | "auth-expired" | (string & {});
  /** Milliseconds. */
  readonly retry: number;
}

/** Called in their place among the events, when the consumer has come to it. */
export interface ControlCallbacks {
  onReady?: ((ready: Ready) => void) | undefined;
  /** Events are missing. Without it nobody hears of that. */
  onGap?: ((gap: Gap) => void) | undefined;
  onEnd?: ((end: End) => void) | undefined;
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
