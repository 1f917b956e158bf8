import type { Clock } from "../../clock.ts";
import { HubError } from "../../errors.ts";
import { type Cursor, parseEventId } from "../event-id.ts";
import type { MaybePromise, Position, PositionRequest } from "../event-log.ts";
import { parseLastEventId, toPosition } from "../last-event-id.ts";
import { type BrokerSession, EpochMismatch } from "./broker.ts";
import type { Follower } from "./follower.ts";

/** Where streams begin: answered from memory if that suffices, else by one question to the broker. */
export class Positions {
  readonly #follower: Follower;
  readonly #clock: Clock;

  constructor(follower: Follower, clock: Clock) {
    this.#follower = follower;
    this.#clock = clock;
  }

  /** As `EventLog.position`. */
  find(request: PositionRequest): MaybePromise<Position> {
    if (this.#isAhead(request.lastEventId)) return this.#fromBroker(request);
    const bounds = this.#follower.bounds();
    const lastSeen = parseLastEventId(request.lastEventId, bounds);
    const elsewhere = { isEmpty: () => false, position: () => null };
    const here = this.#follower.recent.position(lastSeen, request, bounds, elsewhere);
    const use = (found: Position | null): MaybePromise<Position> =>
      found === null || haveAllEnded(found) ? this.#fromBroker(request) : found;
    return here instanceof Promise ? here.then(use) : use(here);
  }

  #fromBroker(request: PositionRequest): Promise<Position> {
    const deadline = this.#clock.now() + OPENED_WITHIN;
    const ask = (session: BrokerSession) => this.#position(session, request, deadline);
    return this.#follower.connection.ask(ask, OPENED_WITHIN);
  }

  async #position(session: BrokerSession, request: PositionRequest, deadline: number): Promise<Position> {
    const { epoch } = this.#follower;
    if (this.#isAhead(request.lastEventId)) {
      // The client comes from a node that was faster, or makes it up: what the broker does not have either will not come.
      const { cursor } = parseEventId(request.lastEventId)!;
      if ((await this.#newest(session, epoch)) >= cursor) await this.#arrival(cursor, deadline);
    }
    const { position, floor } = await this.#ask(session, request);
    // A topic can have begun anew, and its publisher been answered, with the event still on its way: a client that is told of
    // the end now may never come back. And what is evicted of what is still on its way is no gap in what came before.
    const ahead = haveAllEnded(position) ? await this.#newest(session, position.epoch) : floor;
    if (ahead <= position.upTo && position.epoch === this.#follower.epoch) return position;
    await this.#arrival(ahead, deadline);
    return (await this.#ask(session, request)).position;
  }

  /** From memory, or by one question: as things stand here at this moment. `floor` is beyond that when later events are evicted. */
  async #ask(
    session: BrokerSession,
    request: PositionRequest,
  ): Promise<{ position: Position; floor: Cursor }> {
    const bounds = this.#follower.bounds();
    const lastSeen = parseLastEventId(request.lastEventId, bounds);
    const { recent } = this.#follower;
    const { epoch, last: upTo } = bounds;
    const { selectors, replay, counted } = request;
    const known = selectors.topics.map((topic) => recent.end(topic));
    const here = await recent.position(lastSeen, request, bounds, {
      isEmpty: () => false,
      position: async (after) => {
        const found = await session.position(epoch, { selectors, after, last: replay, upTo, counted });
        const ends = known.map((end, at) => end ?? (found.ends[at]! > upTo ? 0 : found.ends[at]!));
        const { from: floor, replayed } = found;
        const position = toPosition(lastSeen, bounds, { from: Math.min(floor, upTo), replayed, ends });
        return { position, floor };
      },
    });
    if (this.#follower.epoch !== epoch) return await this.#ask(session, request);
    return "floor" in here ? here : { position: here, floor: 0 };
  }

  #isAhead(lastEventId: string): boolean {
    const id = parseEventId(lastEventId);
    return id !== null && id.epoch === this.#follower.epoch && id.cursor > this.#follower.recent.last;
  }

  /** The newest event that the broker has; 0 when this is in another epoch by the time of the answer. */
  async #newest(session: BrokerSession, epoch: string): Promise<Cursor> {
    const state = await session.state(0);
    if (this.#follower.epoch !== epoch) return 0;
    if (state?.epoch !== epoch) throw new EpochMismatch("the log is in another epoch");
    return state.last;
  }

  /** Resolves when the event is here, or the epoch is over. */
  async #arrival(cursor: Cursor, deadline: number): Promise<void> {
    await this.#follower.arrival(cursor, deadline - this.#clock.now()).catch(() => {
      throw new HubError("log-failed", "the log is behind: it has not read yet what the broker has");
    });
  }
}

/** Whether a client is told that nothing more will come. */
function haveAllEnded({ ends }: Position): boolean {
  return ends.length > 0 && !ends.includes(0);
}

/** How long the opening of a stream waits for the broker, in milliseconds: its client can come back. */
const OPENED_WITHIN = 5000;
