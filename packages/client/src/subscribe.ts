/// <reference lib="esnext.disposable" preserve="true" />
// For users whose `lib` ends before it: the declarations name Symbol.asyncDispose.

import type { DataFrom, TopicMap, TopicOf } from "@sse/protocol";
import type { ControlCallbacks } from "./control.ts";
import { absolute } from "./event-source.ts";
import type { Failure } from "./failure.ts";
import { type EnvelopedEvent, Inbox, type Reading, type SubscribedEvent } from "./inbox.ts";
import { open } from "./open.ts";
import type { ConnectionOptions } from "./options.ts";
import type { StandardSchema } from "./standard-schema.ts";

/**
 * Subscribes to topics of the server, and connects at once. Ends when the topics have ended, or the server says so
 * (204), or when closed. Nothing more is read from the connection while the consumer is busy: what waits is what the
 * last piece of the stream held.
 *
 * The type of data is that of all topics that the map has, `subscribe<{ "orders/*": Order }>(url, { topics: ["orders/42"]
 * })`; or of those that are named, as of a map that an app has for all, `subscribe<Topics, "orders/42">`; or the schema's.
 *
 * @throws {SubscribeError} from the iterator, when the server refuses for good.
 * @throws {InvalidEventError} from the iterator, for data that is not what it should be; `onInvalid` takes it instead.
 * @throws {DOMException} `SyntaxError` when the URL does not parse. @throws {RangeError} when an option is out of range.
 */
export function subscribe<Schema extends StandardSchema>(
  url: string | URL,
  options: Enveloped<Omit<SubscribeOptions, "schema"> & { schema: Schema }>,
): Subscription<OutputOf<Schema>, EnvelopedEvent<{ "**": OutputOf<Schema> }>>;
export function subscribe<Schema extends StandardSchema>(
  url: string | URL,
  options: Omit<SubscribeOptions, "schema"> & { schema: Schema },
): Subscription<OutputOf<Schema>>;
export function subscribe<Topics extends TopicMap = object, Name extends TopicOf<Topics> = TopicOf<Topics>>(
  url: string | URL,
  options: Enveloped<SubscribeOptions<NoInfer<Topics>, NoInfer<Name>>>,
): Subscription<DataFrom<Topics, Name>, EnvelopedEvent<Topics, Name>>;
export function subscribe<Topics extends TopicMap = object, Name extends TopicOf<Topics> = TopicOf<Topics>>(
  url: string | URL,
  options?: SubscribeOptions<NoInfer<Topics>, NoInfer<Name>>,
): Subscription<DataFrom<Topics, Name>>;
export function subscribe(
  url: string | URL,
  options: SubscribeOptions | Enveloped<SubscribeOptions> = {},
): Subscription<unknown> {
  const { topics = [], replay, lag, envelope } = options;
  const target = new URL(absolute(url));
  for (const topic of topics) target.searchParams.append("topic", topic);
  if (replay !== undefined) target.searchParams.set("replay", String(replay));
  if (lag !== undefined) target.searchParams.set("lag", lag);
  if (envelope) target.searchParams.set("envelope", "json");
  const inbox = new Inbox<SubscribedEvent<unknown>>(options, topics);
  const link = open(target.href, options, inbox);
  const close = (): void => {
    link.close();
    inbox.close();
  };
  options.signal?.addEventListener("abort", close, { signal: inbox.closed });
  if (options.signal?.aborted) close();

  const events = inbox.read(close);
  const subscription: Subscription<unknown> = {
    get lastEventId() {
      return inbox.lastEventId;
    },
    close,
    next: () => events.next(),
    return: () => {
      // The generator may wait for an event, or may never have begun: so it cannot be what closes.
      close();
      return events.return(undefined);
    },
    [Symbol.asyncIterator]: () => subscription,
    [Symbol.asyncDispose]: async () => close(),
  };
  return subscription;
}

/** What a subscription is told, besides how to connect. */
export interface SubscribeOptions<
  Topics extends TopicMap = object,
  Name extends TopicOf<Topics> = TopicOf<Topics>,
>
  extends ConnectionOptions, ControlCallbacks, Reading {
  /** Topics, or patterns of them. Default: none named, which is the topic `default`, or what the URL says. */
  topics?: readonly Name[] | undefined;
  /** For a beginning without a cursor: `"all"` that the server holds, or the last so many. Default: from now on. */
  replay?: "all" | number | undefined;
  /** What to be given of what was missed: the server's `lag`. Default: `"catch-up"`. */
  lag?: "catch-up" | "latest" | "disconnect" | undefined;
  /**
   * What each event's data has to be. A value that it changes is handed on changed. Default: none; the types are
   * believed.
   */
  schema?: StandardSchema<DataFrom<Topics, Name>> | undefined;
  /**
   * `true`: each event tells its `topic`, and its `key` where it has one; see {@link EnvelopedEvent} and {@link isFrom}. Data is what was
   * published, strings as they are: `parse` is given the envelope with all that is in it. Default: `false`.
   */
  envelope?: false | undefined;
  /** A stream is open. */
  onOpen?: (() => void) | undefined;
  /** There is no stream for now. When there will never be one, the iterator throws instead. */
  onError?: ((failure: Failure) => void) | undefined;
}

/** Options of a subscription with envelopes. They are JSON: `parse` may read it differently, but has to. */
export type Enveloped<Options> = Omit<Options, "envelope" | "parse"> & {
  envelope: true;
  parse?: ((text: string) => unknown) | undefined;
};

type OutputOf<Schema> = Schema extends StandardSchema<infer Data> ? Data : never;

/** Events, one after another. Leaving a `for await` closes the connection; so does `using`. */
export interface Subscription<Data, Event = SubscribedEvent<Data>> extends AsyncIterableIterator<
  Event,
  undefined
> {
  /** The cursor of the last event that was handed out: `lastEventId` for another subscription that goes on here. */
  readonly lastEventId: string;
  /** Ends the iteration, also while it waits. */
  close(): void;
  /** What leaving a `for await` calls: closes the connection. */
  return(): Promise<IteratorResult<Event, undefined>>;
  [Symbol.asyncIterator](): Subscription<Data, Event>;
  [Symbol.asyncDispose](): Promise<void>;
}
