import { createEpoch, type Cursor } from "../event-id.ts";
import type { BrokerSession, BrokerState } from "./broker.ts";

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
  /**
   * Where to begin with the log as it is. Asked twice: what the node shows at first has to be known by its mark from then on,
   * or nobody could tell when the broker loses it, and gives its number to another event.
   */
  async beginningOf(session: BrokerSession, former: string): Promise<Beginning> {
    const { epoch, recent, inherited } = await this.stateOf(session, 0, former);
    const cursor = Math.max(recent, inherited);
    const state = await this.stateOf(session, cursor, former);
    if (state.epoch !== epoch || state.last < cursor) throw new Error("the log has just changed");
    return { ...state, cursor };
  }
}

/** How many of the epochs that are over are remembered. */
const MOST_LEFT = 1000;

/** Where a node begins with a log. */
export interface Beginning extends BrokerState {
  /** It reads what follows this, and has the rest looked up. {@link BrokerState.mark} is of this event. */
  readonly cursor: Cursor;
}
