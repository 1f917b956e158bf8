import type { Link } from "./connection.ts";
import { EventSourceErrorEvent } from "./failure.ts";
import { open } from "./open.ts";
import type { ConnectionOptions } from "./options.ts";

/**
 * The EventSource of WHATWG HTML 9.2, made with `fetch`, so that it works in Bun, Node and Deno as in browsers; and
 * with options that the standard lacks. Where it does other than a native one, an option says so: `retryStatuses`,
 * `maxSilence`, `jitter` and `maxRetry`.
 *
 * @throws {DOMException} `SyntaxError` when the URL does not parse; relative ones need a page or a worker.
 * @throws {RangeError} when an option is out of range.
 */
export class EventSource extends EventTarget {
  /** A `readyState`: there is no stream, and there will be one again. */
  static readonly CONNECTING = 0;
  /** A `readyState`: there is a stream. */
  static readonly OPEN = 1;
  /** A `readyState`: there will be no stream any more. */
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;

  /** As it was given, made absolute. Redirects do not change it. */
  readonly url: string;
  /** Whether cookies are sent and taken across origins. */
  readonly withCredentials: boolean;
  #readyState: 0 | 1 | 2 = 0;
  readonly #link: Link;
  readonly #signal: AbortSignal | undefined;
  readonly #handlers: Record<string, ((event: Event) => unknown) | null> = {};

  constructor(url: string | URL, init: EventSourceInit = {}) {
    super();
    this.url = absolute(url);
    this.withCredentials = init.withCredentials ?? false;
    this.#signal = init.signal;
    let origin = "";
    const fire = (event: Event): boolean => this.dispatchEvent(event);
    this.#link = open(this.url, init, {
      opened: (at) => {
        origin = new URL(at).origin;
        this.#readyState = 1;
        fire(new Event("open"));
      },
      event: ({ type, data, lastEventId }) => fire(new MessageEvent(type, { data, origin, lastEventId })),
      failed: (failure) => {
        this.#readyState = failure.retryIn === null ? 2 : 0;
        fire(new EventSourceErrorEvent(failure));
      },
      paused: () => {
        this.#readyState = 0;
      },
    });
  }

  /** 0 `CONNECTING`: there is no stream, and there will be one. 1 `OPEN`. 2 `CLOSED`: there will be none. */
  get readyState(): 0 | 1 | 2 {
    return this.#signal?.aborted ? 2 : this.#readyState;
  }

  /** Ends the connection. No event is fired any more. */
  close(): void {
    this.#readyState = 2;
    this.#link.close();
  }

  // Read as the standard's types, so that this can stand where a native EventSource is wanted.
  /** Called when a stream is open; null: nobody is. */
  get onopen(): ((event: Event) => unknown) | null {
    return this.#handlers["open"] ?? null;
  }
  set onopen(handler: ((event: Event) => unknown) | null) {
    this.#handle("open", handler);
  }
  /** Called with events that have no type of their own; null: nobody is. */
  get onmessage(): ((event: MessageEvent) => unknown) | null {
    return (this.#handlers["message"] as ((event: MessageEvent) => unknown) | undefined) ?? null;
  }
  set onmessage(handler: ((event: MessageEvent<string>) => unknown) | null) {
    this.#handle("message", handler);
  }
  /** Called when there is no stream, with the reason; null: nobody is. */
  get onerror(): ((event: Event) => unknown) | null {
    return this.#handlers["error"] ?? null;
  }
  set onerror(handler: ((event: EventSourceErrorEvent) => unknown) | null) {
    this.#handle("error", handler);
  }

  /** A handler attribute listens from when it is first set (WHATWG HTML 8.1.8.1). */
  #handle(type: string, handler: Listener | null): void {
    const known = type in this.#handlers;
    this.#handlers[type] = typeof handler === "function" ? (handler as (event: Event) => unknown) : null;
    if (!known) super.addEventListener(type, (event) => this.#handlers[type]?.call(this, event));
  }

  /** Listens to events of a type: one of the stream, or `open` or `error`. */
  override addEventListener<Type extends keyof EventSourceEventMap>(
    type: Type,
    listener: (this: EventSource, event: EventSourceEventMap[Type]) => unknown,
    options?: ListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: (this: EventSource, event: MessageEvent<string>) => unknown,
    options?: ListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: Parameters<EventTarget["addEventListener"]>[1],
    options?: ListenerOptions,
  ): void;
  override addEventListener(type: string, listener: unknown, options?: ListenerOptions): void {
    super.addEventListener(type, listener as EventListener, options);
  }

  /** Listens no more. */
  override removeEventListener(
    type: string,
    listener: Listener | object | null,
    options?: ListenerOptions,
  ): void {
    super.removeEventListener(type, listener as EventListener, options);
  }
}

/** What `new EventSource` is told: as {@link ConnectionOptions} say. */
export interface EventSourceInit extends ConnectionOptions {}

/**
 * The events that every EventSource has. Others have the type that their `event:` field names, and are
 * `MessageEvent`s.
 */
export interface EventSourceEventMap {
  /** A stream is open. */
  open: Event;
  /** An event without a type of its own. */
  message: MessageEvent<string>;
  /** There is no stream for now, or never again. */
  error: EventSourceErrorEvent;
}

type Listener = (event: never) => unknown;
type ListenerOptions =
  boolean | { capture?: boolean; once?: boolean; passive?: boolean; signal?: AbortSignal };

/** Against the page or the worker, if this runs in one. */
export function absolute(url: string | URL): string {
  const { document, location } = globalThis as {
    document?: { readonly baseURI?: string };
    location?: { readonly href: string };
  };
  try {
    return new URL(url, document?.baseURI ?? location?.href).href;
  } catch {
    throw new DOMException(
      `Cannot open an EventSource to '${String(url)}': the URL is invalid`,
      "SyntaxError",
    );
  }
}
