import { EventSource, type EventSourceErrorEvent, type EventSourceInit } from "../src/index.ts";
import { ManualClock } from "./manual-clock.ts";
import { until } from "./wire-server.ts";

/** An EventSource on time that stands still, and a log of what it fires. */
export class Recorder implements Disposable {
  readonly clock = new ManualClock();
  readonly source: EventSource;
  /** `open`, `message:data`, `error:code:readyState`. */
  readonly log: string[] = [];
  readonly errors: EventSourceErrorEvent[] = [];

  constructor(url: string, init: EventSourceInit = {}) {
    this.source = new EventSource(url, { clock: this.clock, random: () => 0, ...init });
    this.source.onopen = () => this.log.push("open");
    this.source.onmessage = ({ data }) => this.log.push(`message:${data}`);
    this.source.onerror = (event) => {
      this.errors.push(event);
      this.log.push(`error:${event.code}:${this.source.readyState}`);
    };
  }

  /** Waits until so much is in the log. */
  async logged(count: number): Promise<string[]> {
    await until(() => this.log.length >= count);
    return this.log;
  }

  /** Waits for the next attempt's wait, and lets it pass. */
  async retry(errors: number): Promise<void> {
    await until(() => this.errors.length >= errors);
    this.clock.pass(this.errors[errors - 1]!.retryIn!);
  }

  [Symbol.dispose](): void {
    this.source.close();
  }
}
