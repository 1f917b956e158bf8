import type { EventSourceLike, FeedPlatform, SourceEvent } from "./feed.ts";

type Listener = (event: SourceEvent) => void;

/** A scripted EventSource for tests: what the server and the network do is called by hand. */
class FakeSource implements EventSourceLike {
  readyState = 0;
  readonly url: string;
  /** Where it was asked to begin. */
  readonly cursor: string;
  readonly #listeners = new Map<string, Listener[]>();

  constructor(url: string, cursor: string) {
    this.url = url;
    this.cursor = cursor;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  close(): void {
    this.readyState = 2;
  }

  /** One event from the server. */
  emit(type: string, data: string, lastEventId = ""): void {
    this.readyState = 1;
    for (const listener of this.#listeners.get(type) ?? []) listener({ data, lastEventId });
  }

  ready(resume: string, replayed: number, cursor: string, reason?: string): void {
    this.emit("sse:ready", JSON.stringify({ resume, replayed, reason }), cursor);
  }

  /** There is a stream, of which another tab has heard the beginning. */
  open(): void {
    this.readyState = 1;
    for (const listener of this.#listeners.get("open") ?? []) listener({});
  }

  /** The stream ended or broke, or was refused for now: a real one connects again by itself. */
  drop(status: number | null = null): void {
    this.#fail(0, status);
  }

  /** An answer that is final: a real one is dead from here on. */
  refuse(status = 404): void {
    this.#fail(2, status);
  }

  #fail(readyState: number, status: number | null): void {
    this.readyState = readyState;
    for (const listener of this.#listeners.get("error") ?? []) listener({ status });
  }
}

/** A platform whose sources, time and chance belong to the test. `random` is always a half. */
export function createFakePlatform() {
  const sources: FakeSource[] = [];
  const timers = new Set<{ at: number; task: () => void }>();
  let now = 0;
  const connections = () => sources.filter((source) => source.readyState !== 2).length;
  const platform: FeedPlatform = {
    openSource(url, cursor) {
      const source = new FakeSource(url, cursor);
      sources.push(source);
      return source;
    },
    after(ms, task) {
      const timer = { at: now + ms, task };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    now: () => now,
    random: () => 0.5,
  };
  return {
    platform,
    sources,
    /** The newest source for a topic. */
    source: (topic: string) =>
      sources.findLast((source) => new URLSearchParams(source.url.split("?")[1]).get("topic") === topic)!,
    /** Sources that hold, or are about to hold, a connection. */
    connections,
    advance: (ms: number): void => {
      now += ms;
      for (const timer of timers)
        if (timer.at <= now) {
          timers.delete(timer);
          timer.task();
        }
    },
  };
}
