import { fields } from "./fields.ts";
import type { PostResult } from "./post.ts";

export interface ProbeOptions {
  /** Names this tab among others, whose probes arrive as well. */
  readonly tab: string;
  readonly post: (body: unknown) => Promise<PostResult<unknown>>;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
  readonly onLatency: (took: number) => void;
}

/** Probes that are waited for; one that is older than these is lost to us. */
const MAX_WAITING = 20;

/**
 * Measures how long an event takes from this tab's POST, through a hub and a fan-out, back to this tab's script. Both ends
 * are here, so that no two clocks are compared. The hub is that of `/stats/events`: nothing goes into the users' log.
 */
export class Probe {
  readonly #options: ProbeOptions;
  readonly #sent = new Map<number, number>();
  #number = 0;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  async send(): Promise<void> {
    const { tab, post, now } = this.#options;
    const number = ++this.#number;
    this.#sent.set(number, now());
    for (const old of this.#sent.keys()) if (old <= number - MAX_WAITING) this.#sent.delete(old);
    const result = await post({ tab, number });
    if (!result.ok) this.#sent.delete(number);
  }

  /** Takes the data of a `probe` event, of whichever tab it is. */
  arrived(data: string): void {
    const { tab, number } = fields(data);
    if (tab !== this.#options.tab || typeof number !== "number") return;
    const sent = this.#sent.get(number);
    // Once: a resumed stream may not double it, but a foreign publisher could.
    if (this.#sent.delete(number)) this.#options.onLatency(this.#options.now() - sent!);
  }
}
