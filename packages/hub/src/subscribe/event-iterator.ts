/// <reference lib="esnext.disposable" preserve="true" />
// For users whose `lib` ends before it: the declarations name Symbol.asyncDispose.

import { createDecoder } from "@sse/protocol";
import type { CloseReason } from "../control-events.ts";
import type { Stream } from "../deliver/stream.ts";
import type { MaybePromise } from "../log/event-log.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { Sink } from "../sinks/sink.ts";
import { type HubEvent, hubEvent } from "./hub-event.ts";
import type { Opening } from "./opening.ts";
import type { StreamRequest } from "./request.ts";

/** What {@link Hub.iterate} takes besides. */
export interface IterateRequest extends Omit<StreamRequest, "envelope" | "control"> {
  /** Bytes that may wait for `next` before the iterator counts as behind, and what follows stays in the log; default 65,536. */
  highWaterMark?: number;
}

/**
 * The stream of one who takes events one by one: a sink that keeps the last frames until they are asked for. It says that it is
 * behind when they are too large, and then reads the log again from where it is, by the rules for lag of every stream.
 */
export class EventIterator implements AsyncIterableIterator<HubEvent>, Sink {
  readonly #highWaterMark: number;
  /** A reconnection time, for the one who is cut off. */
  readonly #retry: () => number;
  readonly #signal: AbortSignal | undefined;
  /** Takes back the question for the opening, whose answer is late. */
  readonly #withdraw = new AbortController();
  /** Late, or not asked for yet. Null once it is attached, or the iteration has ended. */
  #opening: MaybePromise<Opening> | null = null;
  #stream: Stream | null = null;
  /** Of those who wait for an event, the first first. */
  #waiting: PromiseWithResolvers<IteratorResult<HubEvent>>[] = [];
  /** Frames that nobody has asked for, and what is left of the one before them. */
  #frames: { bytes: Uint8Array; events: readonly StoredEvent[] }[] = [];
  #events: HubEvent[] = [];
  /** Bytes of all these. */
  #unread = 0;
  /** Lets the stream go on that waits until everything is read. */
  #goOn: (() => void) | null = null;
  /** The id of the last event that was taken. */
  #lastId: string;
  /** No more will come. */
  #ended: { error?: unknown } | null = null;
  /** Of the frame that is being decoded. */
  #stored: Iterator<StoredEvent> = [].values();
  readonly #decoder = createDecoder({
    maxEventBytes: null,
    onEvent: (event) => {
      const isControl = event.type.startsWith("sse:") && event.type !== "sse:end";
      const stored = isControl ? undefined : (this.#stored.next().value as StoredEvent | undefined);
      this.#events.push(hubEvent(event, stored));
    },
  });

  /** @param open asks for the opening, at once */
  constructor(
    request: IterateRequest,
    open: (request: StreamRequest) => MaybePromise<Opening>,
    retry: () => number,
  ) {
    const { highWaterMark = 64 * 1024, signal, lastEventId = "" } = request;
    this.#highWaterMark = highWaterMark;
    this.#retry = retry;
    this.#signal = signal;
    this.#lastId = lastEventId;
    if (signal?.aborted === true) {
      this.#ended = {};
      return;
    }
    signal?.addEventListener("abort", this);
    try {
      this.#opening = open({ ...request, ...PLAIN, signal: this.#withdraw.signal });
    } catch (error) {
      this.#end({ error });
      return;
    }
    if (!(this.#opening instanceof Promise)) return;
    this.#opening.then(
      (answer) => {
        if (this.#waiting.length > 0) this.#attach(answer);
        else this.#opening = answer;
      },
      (error: unknown) => this.#end({ error }),
    );
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next event, when there is one. Those who ask at the same time are answered in their order. */
  next(): Promise<IteratorResult<HubEvent>> {
    const waiting = Promise.withResolvers<IteratorResult<HubEvent>>();
    this.#waiting.push(waiting);
    if (this.#opening === null) this.#serve();
    else if (!(this.#opening instanceof Promise)) this.#attach(this.#opening);
    return waiting.promise;
  }

  /** Gives everything back, whoever waits. */
  return(): Promise<IteratorResult<HubEvent>> {
    this.#leave();
    return Promise.resolve({ done: true, value: undefined });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
  }

  /** The signal's listener. */
  handleEvent(): void {
    this.#leave();
  }

  #attach(opening: Opening): void {
    this.#opening = null;
    if (opening.over) this.#end({});
    else this.#stream = opening.attach(this);
  }

  #leave(): void {
    const opening = this.#opening;
    this.#drop();
    this.#end({});
    this.#withdraw.abort();
    if (opening !== null && !(opening instanceof Promise)) opening.cancel();
    this.#stream?.gone();
  }

  /** Only what is there already will be given. */
  #end(how: { error?: unknown }): void {
    if (this.#ended !== null) return;
    this.#ended = how;
    this.#opening = null;
    this.#signal?.removeEventListener("abort", this); // it may be the signal of more than this
    this.#serve();
  }

  #drop(): void {
    this.#frames = [];
    this.#events = [];
    this.#unread = 0;
    this.#drained();
  }

  #drained(): void {
    const goOn = this.#goOn;
    this.#goOn = null;
    goOn?.();
  }

  /** Gives to those who wait what there is. */
  #serve(): void {
    while (this.#waiting.length > 0) {
      const event = this.#take();
      if (event !== undefined) {
        this.#lastId = event.id;
        this.#waiting.shift()!.resolve({ done: false, value: event });
      } else if (this.#ended === null) {
        this.#drained();
        return;
      } else {
        const { error } = this.#ended;
        this.#ended = {};
        const waiting = this.#waiting.shift()!;
        if (error === undefined) waiting.resolve({ done: true, value: undefined });
        else waiting.reject(error);
      }
    }
  }

  #take(): HubEvent | undefined {
    while (this.#events.length === 0 && this.#frames.length > 0) {
      const { bytes, events } = this.#frames.shift()!;
      this.#stored = events.values();
      this.#decoder.feed(bytes);
      this.#events.reverse(); // from the end it is taken without moving the rest
    }
    const event = this.#events.pop();
    if (this.#events.length === 0 && this.#frames.length === 0) this.#unread = 0;
    return event;
  }

  write(bytes: Uint8Array, events: readonly StoredEvent[] = []): number | Promise<unknown> {
    if (this.#ended !== null) return 0;
    this.#frames.push({ bytes, events });
    this.#unread += bytes.byteLength;
    this.#serve();
    if (this.#unread <= this.#highWaterMark) return bytes.byteLength;
    return new Promise<void>((resolve) => {
      this.#goOn = resolve;
    });
  }

  close(reason?: CloseReason, error?: unknown): void {
    this.#end(reason === "error" ? { error } : {});
  }

  /** It is behind. What it has not taken it can resume after the last event that it has. */
  abort(reason?: CloseReason): void {
    this.#drop();
    if (reason !== undefined && reason !== "client" && reason !== "ended" && reason !== "error")
      this.#events.push({ kind: "closing", id: this.#lastId, reason, retry: this.#retry() });
    this.#end({});
  }
}

/** Events are told apart by their wire form. */
const PLAIN = { envelope: undefined, control: undefined } satisfies Partial<StreamRequest>;
