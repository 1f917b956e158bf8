import type { Clock } from "./clock.ts";
import type { GroupCommit } from "./publish/group-commit.ts";
import type { OpenStreams } from "./deliver/open-streams.ts";

/** The turns of the event loop in which there is something to do: what was published is committed, and what is due written. */
export class Turns {
  readonly #clock: Clock;
  readonly #groupCommit: GroupCommit;
  readonly #streams: OpenStreams;
  #due = false;

  constructor(clock: Clock, groupCommit: GroupCommit, streams: OpenStreams) {
    this.#clock = clock;
    this.#groupCommit = groupCommit;
    this.#streams = streams;
  }

  /** Takes one, after all else that this turn of the event loop does. */
  take(): void {
    if (this.#due) return;
    this.#due = true;
    this.#clock.defer(() => {
      this.#due = false;
      // What this turn commits goes out in the next one, so that the answers to its publishers do not wait for a large
      // fan-out; or at once, together with what is due anyway.
      const hasWork = this.#streams.hasWork;
      this.#groupCommit.commit();
      const hasMore = hasWork && this.#streams.run();
      if (hasMore || this.#groupCommit.hasWork) this.take();
    });
  }
}
