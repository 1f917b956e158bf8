import type { Clock } from "../../clock.ts";
import type { Cursor } from "../event-id.ts";
import type { SelectorSet } from "../../topics/topic.ts";
import type { Scan } from "./scan.ts";

/** Scans that stopped at the end of a page, to be gone on with: a consumer with a filter is dear to make. */
export class KeptScans {
  readonly #clock: Clock;
  readonly #life: number;
  /** With the time since when each is kept, the latest last. */
  readonly #scans = new Map<Scan, number>();

  /** @param life for how long a scan can be gone on with, in milliseconds */
  constructor(clock: Clock, life: number) {
    this.#clock = clock;
    this.#life = life;
  }

  keep(scan: Scan): void {
    this.#scans.set(scan, this.#clock.now());
    if (this.#scans.size <= MOST_SCANS) return;
    const [oldest] = this.#scans.keys();
    this.#scans.delete(oldest!);
    oldest!.close();
  }

  /**
   * One that goes on after the cursor, which is not kept any more.
   *
   * @param wantsWhole whether messages of several topics come after the cursor
   */
  take(after: Cursor, selectors: SelectorSet, wantsWhole: boolean): Scan | null {
    for (const [scan, since] of this.#scans) {
      const isOld = this.#clock.now() - since > this.#life;
      if (!isOld && !scan.goesOn(after, selectors, wantsWhole)) continue;
      this.#scans.delete(scan);
      if (!isOld) return scan;
      scan.close();
    }
    return null;
  }
}

/** The most that are kept. */
const MOST_SCANS = 32;
