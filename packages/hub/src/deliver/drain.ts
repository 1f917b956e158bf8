import { type Clock, turnStepsOf } from "../clock.ts";
import type { OpenStreams } from "./open-streams.ts";
import type { Stream } from "./stream.ts";

/** Closes many streams spread over a time: neither the closes nor the reconnects come all at once. */
export class Drain {
  readonly #streams: OpenStreams;
  readonly #clock: Clock;
  /** How many take their time: each keeps the streams that are left to it. */
  atWork = 0;
  /** Stop the timers that are at work. */
  readonly #timers = new Set<() => void>();

  constructor(streams: OpenStreams, clock: Clock) {
    this.#streams = streams;
    this.#clock = clock;
  }

  /**
   * Tells each to come back at a time of its own. Resolves when the last is closed.
   *
   * @param streams is emptied
   * @param within milliseconds; 0 is at once, in as few turns of the event loop as they take
   */
  async close(streams: Stream[], within: number): Promise<void> {
    const takesTime = within > 0 && streams.length > 0;
    if (takesTime) this.atWork++;
    await Promise.resolve(); // not within a write to one of them: nobody could say which id its client has by then
    const parts = Math.max(CLOSING_PARTS, Math.ceil(streams.length / CLOSING_PART));
    const part = Math.ceil(streams.length / parts);
    if (takesTime) {
      await new Promise<void>((resolve) => {
        const stop = this.#clock.every(within / parts, () => {
          this.#closeSome(streams, part);
          if (streams.length > 0) return;
          stop();
          this.#timers.delete(stop);
          resolve();
        });
        this.#timers.add(stop);
      });
      this.atWork--;
    }
    for (;;) {
      this.#closeSome(streams, Math.ceil(turnStepsOf(this.#clock) / CLOSING_STEPS));
      if (streams.length === 0) return;
      await new Promise<void>((resolve) => this.#clock.defer(resolve));
    }
  }

  #closeSome(streams: Stream[], count: number): void {
    for (let left = count; left > 0 && streams.length > 0;) {
      const stream = streams.pop()!;
      if (stream.state === "closed") continue; // it has gone by itself
      this.#streams.close(stream, "drain");
      left--;
    }
  }

  /** Closes no more. */
  stop(): void {
    for (const stop of this.#timers) stop();
  }
}

/** Parts in which the streams are closed, at least, so that neither the closes nor the reconnects come all at once. */
const CLOSING_PARTS = 20;
/** The most streams of one part: some milliseconds, in which nothing else is done. */
const CLOSING_PART = 256;
/** What a close takes, in steps of {@link Clock.turnSteps}. */
const CLOSING_STEPS = 1600;
