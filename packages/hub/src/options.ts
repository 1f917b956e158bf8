import { type Clock, systemClock } from "./clock.ts";
import type { CloseReason } from "./control-events.ts";
import type { Stream } from "./deliver/stream.ts";
import type { EventLog } from "./log/event-log.ts";
import { MemoryLog } from "./log/memory/memory-log.ts";
import type { TopicSchemas } from "./publish/schemas.ts";

/** `undefined` means the default, `null` turns a thing off. Times are in milliseconds. */
export interface HubOptions {
  /** Default: a {@link MemoryLog} with its own defaults. */
  log?: EventLog | undefined;
  /** The longest silence on a stream before it is sent a comment; default 15,000 (WHATWG HTML 9.2.7). */
  heartbeat?: number | null | undefined;
  /**
   * How long a client should wait before it reconnects; default 2,000. Each stream is told its own value, between half
   * and one and a half times this, so that clients which dropped together do not come back together.
   */
  retry?: number | undefined;
  /** How long a write may stay blocked before its stream is aborted; default 30,000. The client resumes from the log. */
  writeDeadline?: number | null | undefined;
  /** The most UTF-8 bytes of data in one event, as it goes over the wire; default 1 MiB. */
  maxEventBytes?: number | undefined;
  /** The most messages that are published together; default 10,000. The log takes them at one go. */
  maxBatch?: number | undefined;
  /** The most bytes in one frame, unless a single event is larger; default 64 KiB. */
  maxFrameBytes?: number | undefined;
  /**
   * The most writes to streams in one turn of the event loop, before accepts, publishes and other I/O have their turn;
   * default 512, one or two milliseconds. Events that come while a fan-out is under way go out together after it.
   */
  writesPerTurn?: number | undefined;
  /** The most selectors of one stream; default 100. */
  maxSelectors?: number | undefined;
  /** The most streams; default 100,000. */
  maxStreams?: number | null | undefined;
  /** The most streams of one address, where the request says of which one it is; default 20,000. */
  maxStreamsPerAddress?: number | null | undefined;
  /** The most streams of one principal, where the request says of which one it is; default 20,000. */
  maxStreamsPerPrincipal?: number | null | undefined;
  /** The most streams that ask for one selector, by the same word; default null, for a topic may be what all are here for. */
  maxStreamsPerTopic?: number | null | undefined;
  /**
   * The longest that a stream stays open; default an hour. It is closed, and the client comes back, so that streams spread
   * anew over nodes, and none outlives for ever what it was opened with. Each stream has its own end in the last quarter
   * of this time, so that those which came together do not go together.
   */
  maxAge?: number | null | undefined;
  /**
   * The time over which clients that are sent away, because the hub closes, come back: each is told its own, from half of
   * `retry` on; default 5,000.
   */
  returnWindow?: number | undefined;
  /**
   * What the data of each topic has to be, by topic or pattern; the most specific that matches counts. What is published is
   * the schema's output; a topic without a schema is refused; a text is checked as a string, and never parsed; the end of
   * a topic has no data to check. Events of a schema that answers with a promise wait for it, and others may pass them:
   * await each `publish` where their order matters. Default: null, anything goes.
   */
  schemas?: TopicSchemas | null | undefined;
  /** Told how long things took. Default: nobody is. */
  observer?: HubObserver | undefined;
  /**
   * Told what a callback of these options, a log or a sink has thrown: it harms the stream that it concerns and no other.
   * Default: it is written to standard error.
   */
  onError?: ((error: unknown) => void) | undefined;
  /** Called after a stream has closed. */
  onClose?: ((stream: Stream, reason: CloseReason) => void) | undefined;
  /** Default: the process's own. */
  clock?: Clock | undefined;
  /** Numbers in [0, 1); default `Math.random`. */
  random?: (() => number) | undefined;
}

/** The defaults of {@link HubOptions} that are numbers. */
export const HUB_DEFAULTS = Object.freeze({
  heartbeat: 15_000,
  retry: 2_000,
  writeDeadline: 30_000,
  maxEventBytes: 1024 * 1024,
  maxBatch: 10_000,
  maxFrameBytes: 64 * 1024,
  writesPerTurn: 512,
  maxSelectors: 100,
  maxStreams: 100_000,
  maxStreamsPerAddress: 20_000,
  maxStreamsPerPrincipal: 20_000,
  maxStreamsPerTopic: null,
  maxAge: 3_600_000,
  returnWindow: 5000,
}) satisfies HubOptions;

export type HubSettings = { readonly [Name in keyof HubOptions]-?: Exclude<HubOptions[Name], undefined> };

/** @throws RangeError naming the option and its value */
export function resolveOptions(options: HubOptions): HubSettings {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const { clock = systemClock, random = Math.random } = options;
  const onError = guarded(options.onError ?? ((error) => console.error(error)), () => {});
  const observer = options.observer ?? NOBODY;
  const log = options.log ?? new MemoryLog({ clock, random });
  const settings: HubSettings = {
    ...HUB_DEFAULTS,
    schemas: null,
    clock,
    random,
    log,
    ...given,
    onError,
    onClose: guarded(options.onClose ?? (() => {}), onError),
    observer: {
      committed: guarded((duration: number) => observer.committed(duration), onError),
      fannedOut: guarded((duration: number) => observer.fannedOut(duration), onError),
    },
  };
  for (const name of Object.keys(HUB_DEFAULTS) as (keyof typeof HUB_DEFAULTS)[]) {
    const value: unknown = settings[name];
    if (value === null && NULLABLE.has(name)) continue;
    if (typeof value !== "number" || !Number.isInteger(value) || value < 1) {
      throw new RangeError(`${name} must be a whole number from 1 on, not ${String(value)}`);
    }
  }
  return settings;
}

/** Who wants to know how long things take. Called once for many events or streams, not for each one. */
export interface HubObserver {
  /** From the first publish of a turn until the log has acknowledged all of them, in milliseconds. */
  committed(duration: number): void;
  /** From the commit of the oldest event of a frame until it was written to every live stream of its cohort, in milliseconds. */
  fannedOut(duration: number): void;
}

/** The callback, which harms nobody when it throws or rejects. */
function guarded<Args extends unknown[]>(
  callback: (...args: Args) => unknown,
  onError: (error: unknown) => void,
): (...args: Args) => void {
  return (...args) => {
    try {
      const result = callback(...args);
      if (result instanceof Promise) result.catch(onError);
    } catch (error) {
      onError(error);
    }
  };
}

const NOBODY: HubObserver = { committed() {}, fannedOut() {} };

const NULLABLE = new Set([
  "heartbeat",
  "writeDeadline",
  "maxStreams",
  "maxStreamsPerAddress",
  "maxStreamsPerPrincipal",
  "maxStreamsPerTopic",
  "maxAge",
]);
