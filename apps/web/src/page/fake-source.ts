import { EventSourceErrorEvent, type Failure } from "@sse/client";
import type { FeedPlatform, Source } from "./feed.ts";

/** A scripted source for tests: what the server and the network do is called by hand. */
class FakeSource implements Source {
  readonly url: string;
  /** Where it was asked to begin. */
  readonly cursor: string;
  readonly #hear: (event: Event) => void;
  closed = false;

  constructor(url: string, cursor: string, hear: (event: Event) => void) {
    this.url = url;
    this.cursor = cursor;
    this.#hear = hear;
  }

  close(): void {
    this.closed = true;
  }

  /** One event from the server. */
  emit(type: string, data: string, lastEventId = ""): void {
    this.#tell(new MessageEvent(type, { data, lastEventId }));
  }

  ready(resume: string, replayed: number, cursor: string, reason?: string): void {
    this.emit("sse:ready", JSON.stringify({ resume, replayed, reason }), cursor);
  }

  /** There is a stream, of which another tab has heard the beginning. */
  open(): void {
    this.#tell(new Event("open"));
  }

  /** The stream ended or broke: a real one connects again by itself. */
  drop(): void {
    this.#fail({ code: "network", status: null, retryIn: 3_000 });
  }

  /** An answer that is no stream; a real one connects again by itself, but for 204. */
  refuse(status: number): void {
    this.#fail({ code: "status", status, retryIn: status === 204 ? null : 3_000 });
  }

  /** An answer that nobody can read: a real one does not ask again. */
  fail(): void {
    this.#fail({ code: "content-type", status: 200, retryIn: null });
  }

  #fail(failure: Failure): void {
    this.#tell(new EventSourceErrorEvent(failure));
    if (failure.retryIn === null) this.closed = true;
  }

  #tell(event: Event): void {
    if (!this.closed) this.#hear(event);
  }
}

/** A platform whose sources and time belong to the test. */
export function createFakePlatform() {
  const sources: FakeSource[] = [];
  const timers = new Set<{ at: number; task: () => void }>();
  let now = 0;
  const platform: FeedPlatform = {
    openSource(url, cursor, hear) {
      const source = new FakeSource(url, cursor, hear);
      sources.push(source);
      return source;
    },
    after(ms, task) {
      const timer = { at: now + ms, task };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    now: () => now,
  };
  return {
    platform,
    sources,
    /** The newest source for a topic. */
    source: (topic: string) =>
      sources.findLast((source) => new URLSearchParams(source.url.split("?")[1]).get("topic") === topic)!,
    /** Sources that hold, or are about to hold, a connection. */
    connections: () => sources.filter(({ closed }) => !closed).length,
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
