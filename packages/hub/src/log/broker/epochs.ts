import { createEpoch, type Cursor } from "../event-id.ts";
import type { BrokerSession, BrokerState } from "./broker.ts";

/** How many of the epochs that are over are remembered. */
const MOST_LEFT = 1000;

/** The epochs that a node has left: none of them is ever the log's again. */
export class Epochs {
  readonly #random: () => number;
  /** Oldest first. */
  readonly #left = new Set<string>();

  constructor(random: () => number) {
    this.#random = random;
  }

  leave(epoch: string): void {
    this.#left.add(epoch);
    if (this.#left.size > MOST_LEFT) this.#left.delete(this.#left.values().next().value!);
  }

  hasLeft(epoch: string): boolean {
    return this.#left.has(epoch);
  }

  /** One that the log never had, as far as is known here. @param current the one that it has or had last; "": none */
  create(current: string): string {
    for (;;) {
      const epoch = createEpoch(this.#random);
      if (epoch !== current && !this.#left.has(epoch)) return epoch;
    }
  }

  /**
   * What the log is, which is begun when there is none.
   *
   * @param seen the event whose mark is asked for
   * @param former the epoch that the log had, as far as is known here; "": none
   */
  async stateOf(session: BrokerSession, seen: Cursor, former: string): Promise<BrokerState> {
    const found = await session.state(seen);
    if (found !== null) return found;
    await session.create(this.create(former), former);
    const made = await session.state(seen);
    if (made === null) throw new Error("the log was gone again as soon as it was made");
    return made;
  }
}
