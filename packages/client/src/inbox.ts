import type { Envelope, EnvelopeFrom, ServerSentEvent, TopicMap, TopicOf } from "@sse/protocol";
import type { Sink } from "./connection.ts";
import { type ControlCallbacks, fieldsOf, isControl, tell } from "./control.ts";
import type { Failure } from "./failure.ts";
import type { SchemaIssue, StandardSchema } from "./standard-schema.ts";

/** What a connection has brought and the consumer has not yet taken: never more than one piece of the stream. */
export class Inbox<Event> implements Sink {
  lastEventId: string;
  readonly #options: Callbacks;
  /** Topics of which the end is known when it comes; empty for patterns, which have none. */
  readonly #topics: readonly string[];
  readonly #ended = new Set<string>();
  #waiting: (ServerSentEvent | Failure)[] = [];
  #finished = false;
  readonly #life = new AbortController();
  #arrived: (() => void) | null = null;
  #emptied: (() => void) | null = null;
  #whenEmpty: Promise<void> | undefined;

  constructor(options: Callbacks, topics: readonly string[]) {
    this.#options = options;
    this.lastEventId = options.lastEventId ?? "";
    this.#topics = topics.some((topic) => topic.includes("*")) ? [] : topics;
  }

  get closed(): AbortSignal {
    return this.#life.signal;
  }

  opened(): void {
    this.#options.onOpen?.();
  }

  paused(): void {}

  event(event: ServerSentEvent): void {
    if (event.type === "sse:end") this.#ended.add(String(fieldsOf(event)["topic"]));
    // A topic can begin anew after its end.
    else if (!isControl(event)) this.#ended.clear();
    this.#put(event);
  }

  failed(failure: Failure): void {
    const { code, status, retryIn } = failure;
    const over = code === "ended" && this.#topics.length > 0 && this.#ended.size >= this.#topics.length;
    if (over || status === 204) this.#finish();
    else if (retryIn === null) this.#put(failure);
    else this.#options.onError?.(failure);
  }

  ready(): Promise<void> | undefined {
    if (this.#waiting.length === 0) return undefined;
    return (this.#whenEmpty ??= new Promise((resolve) => (this.#emptied = resolve)));
  }

  close(): void {
    this.#waiting = [];
    this.#life.abort();
    this.#finish();
    this.#release();
  }

  /** @param close called when the consumer leaves, or something is thrown to it */
  async *read(close: () => void): AsyncGenerator<Event, undefined, undefined> {
    try {
      for (;;) {
        const next = this.#waiting.shift();
        if (next === undefined) {
          this.#release();
          if (this.#finished) return undefined;
          await new Promise<void>((resolve) => (this.#arrived = resolve));
        } else if ("code" in next) throw new SubscribeError(next);
        else {
          this.lastEventId = next.lastEventId;
          const event = await this.#open(next);
          if (event !== null && !this.closed.aborted) yield event;
        }
      }
    } finally {
      close();
    }
  }

  #put(item: ServerSentEvent | Failure): void {
    this.#waiting.push(item);
    this.#arrived?.();
  }

  #finish(): void {
    this.#finished = true;
    this.#arrived?.();
  }

  #release(): void {
    this.#emptied?.();
    this.#emptied = null;
    this.#whenEmpty = undefined;
  }

  /** The event as the consumer wants it; null for one that is not for the consumer. */
  async #open(event: ServerSentEvent): Promise<Event | null> {
    if (isControl(event)) {
      tell(this.#options, event);
      return null;
    }
    const { parse = JSON.parse as (text: string) => unknown, schema, envelope, onInvalid } = this.#options;
    const { type, lastEventId: id } = event;
    let issues: readonly SchemaIssue[] = [];
    let cause: unknown;
    try {
      let value = parse === null ? event.data : parse(event.data);
      let about: Partial<Envelope> = {};
      if (envelope) {
        ({ data: value, ...about } = value as Envelope);
        // Servers that know no envelopes send the data alone.
        if (typeof about.topic !== "string") throw new TypeError("It has no envelope");
      }
      const result = (await schema?.["~standard"].validate(value)) ?? { value };
      if (result.issues === undefined) return { ...about, type, data: result.value, id } as Event;
      ({ issues } = result);
    } catch (error) {
      cause = error;
    }
    const invalid = new InvalidEventError(event, issues, cause);
    if (onInvalid === undefined) throw invalid;
    onInvalid(invalid);
    return null;
  }
}

/** An event of a subscription. */
export interface SubscribedEvent<Data> {
  /** The `event` field; `"message"` without one. */
  readonly type: string;
  /** What `parse` and the schema made of it. */
  readonly data: Data;
  /** The cursor after this event. */
  readonly id: string;
}

/**
 * An event of a subscription with envelopes: its topic, and its key where it has one. Where topics carry different types, each is an
 * event of its own, told apart by its topic.
 */
export type EnvelopedEvent<
  Topics extends TopicMap = object,
  Name extends string = TopicOf<Topics>,
> = EnvelopeFrom<Topics, Name> & Omit<SubscribedEvent<unknown>, "data">;

/** How data is read. */
export interface Reading {
  /** Makes a value of an event's data. `null`: it stays text. Default: `JSON.parse`. */
  parse?: ((text: string) => unknown) | null | undefined;
  /** Takes what `parse` or `schema` refuse, and the event is left out. Default: the iterator throws it, and closes. */
  onInvalid?: ((error: InvalidEventError) => void) | undefined;
}

/** An event's data is not what it should be. */
export class InvalidEventError extends Error {
  override readonly name = "InvalidEventError";
  /** Always this. */
  readonly code = "invalid-event";
  /** As it came. */
  readonly event: ServerSentEvent;
  /** What the schema has against it; empty when the data could not even be parsed, see `cause`. */
  readonly issues: readonly SchemaIssue[];

  constructor(event: ServerSentEvent, issues: readonly SchemaIssue[], cause?: unknown) {
    const why = issues.length > 0 ? issues.map(({ message }) => message).join("; ") : String(cause);
    super(`The data of an event of type "${event.type}" (id "${event.lastEventId}") is not valid: ${why}`, {
      cause,
    });
    this.event = event;
    this.issues = issues;
  }
}

/** The server refuses for good: what `readyState` `CLOSED` is to an EventSource. */
export class SubscribeError extends Error {
  override readonly name = "SubscribeError";
  /** What went wrong. */
  readonly code: Failure["code"];
  /** Of the answer; null when there was none. */
  readonly status: number | null;

  constructor({ code, status, cause }: Failure) {
    super(`The subscription ended: ${code}${status === null ? "" : ` (status ${status})`}`, { cause });
    this.code = code;
    this.status = status;
  }
}

interface Callbacks extends ControlCallbacks, Reading {
  readonly lastEventId?: string | undefined;
  readonly schema?: StandardSchema | undefined;
  readonly envelope?: boolean | undefined;
  readonly onOpen?: (() => void) | undefined;
  readonly onError?: ((failure: Failure) => void) | undefined;
}
