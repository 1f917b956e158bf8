import type { EventSourceLike, FeedPlatform } from "./feed.ts";

type Listener = Parameters<EventSourceLike["addEventListener"]>[1];

/** A scripted EventSource for tests: what the server and the network do is called by hand. */
class FakeSource implements EventSourceLike {
  readyState = 0;
  readonly url: string;
  readonly #listeners = new Map<string, Listener[]>();

  constructor(url: string) {
    this.url = url;
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

  /** The stream ended or broke: a real EventSource connects again by itself. */
  drop(): void {
    this.#fail(0);
  }

  /** An answer other than 200: a real EventSource is dead from here on. */
  refuse(): void {
    this.#fail(2);
  }

  #fail(readyState: number): void {
    this.readyState = readyState;
    for (const listener of this.#listeners.get("error") ?? []) listener({});
  }
}

/** A platform whose sources, time and chance belong to the test. `random` is always a half. */
export function createFakePlatform() {
  const sources: FakeSource[] = [];
  const timers = new Set<{ at: number; task: () => void }>();
  let now = 0;
  let peak = 0;
  let status = 0;
  const connections = () => sources.filter((source) => source.readyState !== 2).length;
  const platform: FeedPlatform = {
    openSource(url) {
      const source = new FakeSource(url);
      sources.push(source);
      peak = Math.max(peak, connections());
      return source;
    },
    statusOf: () => Promise.resolve(status),
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
    /** What the server answers to who asks for the status of a refusal; 0, the default: nothing. */
    answerWith: (code: number) => (status = code),
    /** Sources that hold, or are about to hold, a connection. */
    connections,
    /** The most connections that there ever were at once. */
    peak: () => peak,
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
