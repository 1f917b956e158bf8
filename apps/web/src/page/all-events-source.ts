import { EventSource, type EventSourceInit } from "@sse/client";
import { authorization } from "./token.ts";

/**
 * An EventSource that hands on whatever comes: an ordinary one calls only the listeners of types that are known before,
 * and here anybody may publish any type.
 */
export class AllEventsSource extends EventSource {
  readonly #hear: (event: Event) => void;

  constructor(url: string, init: EventSourceInit, hear: (event: Event) => void) {
    super(url, { headers: authorization, ...init });
    this.#hear = hear;
  }

  override dispatchEvent(event: Event): boolean {
    this.#hear(event);
    return true;
  }
}
