import {
  type Bounds,
  type EventId,
  type EventLog,
  HubError,
  type MaybePromise,
  type NewEvent,
  type Page,
  type ReadLimits,
  type SelectorSet,
  type TailListener,
} from "../src/index.ts";
import type { Position, PositionRequest } from "../src/log/event-log.ts";
import type { Line, Owner } from "./scheduler.ts";
import type { RunContext } from "./run-context.ts";

/**
 * A log whose answers come late and out of turn, each still true of one moment; which can fail, in every way that a log can; and whose
 * store can be taken away, so that it goes on with another one.
 */
export class LateLog implements EventLog {
  #log: EventLog;
  readonly #run: RunContext;
  readonly #owner: Owner;
  readonly #appends: Line;
  readonly #listeners = new Map<TailListener, () => void>();

  constructor(log: EventLog, run: RunContext, owner: Owner) {
    this.#log = log;
    this.#run = run;
    this.#owner = owner;
    this.#appends = run.scheduler.line();
  }

  /** Goes on with another store, in an epoch of its own. */
  replace(log: EventLog): void {
    this.#log = log;
    for (const [listener, stop] of this.#listeners) {
      stop();
      this.#listeners.set(listener, log.tail(listener));
    }
    for (const listener of this.#listeners.keys()) listener.reset();
  }

  get fault(): string | null {
    return this.#log.fault;
  }

  append(batch: readonly NewEvent[]): MaybePromise<readonly EventId[]> {
    const { config, random } = this.#run;
    this.#fail("nothing was published");
    if (!config.isLate) return this.#log.append(batch);
    return this.#later(this.#appends, () => {
      if (!this.#run.isCalm && random.chance(config.logErrors))
        throw new HubError("log-failed", "the disk; nothing was published");
      return this.#log.append(batch);
    });
  }

  position(request: PositionRequest): MaybePromise<Position> {
    return this.#ask(() => this.#log.position(request));
  }

  read(after: number, selectors: SelectorSet, limits: ReadLimits): MaybePromise<Page> {
    return this.#ask(() => this.#log.read(after, selectors, limits));
  }

  tail(listener: TailListener): () => void {
    this.#listeners.set(listener, this.#log.tail(listener));
    return () => {
      this.#listeners.get(listener)?.();
      this.#listeners.delete(listener);
    };
  }

  bounds(): Bounds {
    return this.#log.bounds();
  }

  close(): MaybePromise<void> {
    return this.#run.config.isLate ? this.#later(this.#appends, () => this.#log.close()) : this.#log.close();
  }

  #fail(more: string): void {
    const { config, random, isCalm } = this.#run;
    if (isCalm || !random.chance(config.logErrors)) return;
    throw random.chance(0.5)
      ? new HubError("log-failed", `the disk; ${more}`)
      : new TypeError("a fault in the log");
  }

  #ask<T>(question: () => MaybePromise<T>): MaybePromise<T> {
    const { config, scheduler } = this.#run;
    this.#fail("it cannot be read");
    if (!config.isLate) return question();
    return this.#later(scheduler.line(), () => {
      this.#fail("it cannot be read");
      return question();
    });
  }

  /** Asks later, and answers later than that. */
  #later<T>(line: Line, question: () => MaybePromise<T>): Promise<T> {
    const { scheduler } = this.#run;
    return new Promise((resolve, reject) => {
      line.post("ask", this.#owner, () => {
        const answer = (use: () => void): void => scheduler.post("answer", this.#owner, use);
        try {
          const found = question();
          if (!(found instanceof Promise)) answer(() => resolve(found));
          else
            found.then(
              (late) => answer(() => resolve(late)),
              (error: unknown) => answer(() => reject(error)),
            );
        } catch (error) {
          answer(() => reject(error));
        }
      });
    });
  }
}
