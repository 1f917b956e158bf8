import { type Cursor, type EventId, parseEventId } from "../log/event-id.ts";
import { HubError } from "../errors.ts";
import type { NewEvent } from "../log/new-event.ts";
import type { HubSettings } from "../options.ts";

/** What publishers have handed in: taken to the log once a turn, and answered once the log has it. */
export class GroupCommit {
  readonly #settings: HubSettings;
  #waiting: Publication[] = [];
  /** When the first of `#waiting` came. */
  #since = 0;
  /** Appends that the log has yet to answer. */
  readonly #appends = new Set<Promise<void>>();
  /** Events that the log has taken, without those that it held already. */
  published = 0;
  /** The newest event of those that had an id of their publisher. */
  #newest = { epoch: "", cursor: 0 };

  constructor(settings: HubSettings) {
    this.#settings = settings;
  }

  /** Resolves with an id for each event, once they are kept. */
  add(events: readonly NewEvent[]): Promise<readonly EventId[]> {
    return new Promise((resolve, reject) => {
      const acknowledge = (ids: readonly EventId[], place: number): void =>
        resolve(ids.length === events.length ? ids : ids.slice(place, place + events.length));
      this.#push({ events, acknowledge, reject });
    });
  }

  /** Resolves with the id of the first of the events, once they are kept. */
  addMessage(events: readonly NewEvent[]): Promise<EventId> {
    return new Promise((resolve, reject) => {
      this.#push({ events, acknowledge: (ids, place) => resolve(ids[place]!), reject });
    });
  }

  #push(publication: Publication): void {
    if (this.#waiting.length === 0) this.#since = this.#settings.clock.now();
    this.#waiting.push(publication);
  }

  /** Whether something waits for the next turn. */
  get hasWork(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * One append for all that was added since the last turn, or as few as the log wants. Of very many events, or very long ones, some
   * wait for the next turn: what is published together is not parted, but what comes at the same time need not hold the event loop
   * together.
   *
   * @param most events, with their data counted; one publication is taken whatever its size
   */
  commit(most = TURN_EVENTS): void {
    const { maxAppend = Infinity } = this.#settings.log;
    const due = this.#due(most);
    let together: Publication[] = [];
    let events = 0;
    for (const publication of due) {
      if (together.length > 0 && events + publication.events.length > maxAppend) {
        this.#append(together);
        together = [];
        events = 0;
      }
      together.push(publication);
      events += publication.events.length;
    }
    if (together.length > 0) this.#append(together);
  }

  #due(most: number): Publication[] {
    let cost = 0;
    let count = 0;
    for (const { events } of this.#waiting) {
      for (const { data } of events) cost += 1 + Math.floor(data.length / EVENT_LENGTH);
      if (count > 0 && cost > most) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Resolves when the log has answered all that it was given. */
  async settled(): Promise<void> {
    await Promise.all(this.#appends);
  }

  /**
   * How many of these ids the log gave anew: a repeat has an older one's id, or that of an append which the log had not answered yet.
   *
   * @param last the log's newest event before
   */
  #countNew(ids: readonly EventId[], last: Cursor): number {
    const { epoch, cursor: newest } = this.#newest;
    const given = new Set<Cursor>();
    for (const id of ids) {
      const { epoch: its, cursor } = parseEventId(id)!;
      if (cursor <= last || (its === epoch && cursor <= newest)) continue;
      given.add(cursor);
      // A repeat of one that is new, in the same append, comes after newer ones.
      if (its !== this.#newest.epoch || cursor > this.#newest.cursor) this.#newest = { epoch: its, cursor };
    }
    return given.size;
  }

  #append(publications: readonly Publication[]): void {
    const { clock, log, observer } = this.#settings;
    const since = this.#since;
    const batch =
      publications.length === 1 ? publications[0]!.events : publications.flatMap((each) => each.events);
    const fail = (cause: unknown): void => {
      const error =
        cause instanceof HubError
          ? cause
          : new HubError("log-failed", `the log cannot keep the event: ${String(cause)}`, { cause });
      for (const { reject } of publications) reject(error);
    };
    const hasKeys = batch.some(({ idempotencyKey }) => idempotencyKey !== "");
    const last = hasKeys ? log.bounds().last : 0;
    const acknowledge = (ids: readonly EventId[]): void => {
      this.published += hasKeys ? this.#countNew(ids, last) : ids.length;
      let place = 0;
      for (const publication of publications) {
        publication.acknowledge(ids, place);
        place += publication.events.length;
      }
      observer.committed(clock.now() - since);
    };
    try {
      const ids = log.append(batch);
      if (ids instanceof Promise) {
        const answered = ids.then(acknowledge, fail).finally(() => this.#appends.delete(answered));
        this.#appends.add(answered);
      } else acknowledge(ids);
    } catch (error) {
      fail(error);
    }
  }
}

/** Events of one turn: what a log in a file takes in some 15 ms. */
const TURN_EVENTS = 2000;
/** Data that counts for another event, in characters: half a million of them, if all are line ends, take 15 ms to encode. */
const EVENT_LENGTH = 256;

interface Publication {
  readonly events: readonly NewEvent[];
  /** @param place where its events begin */
  readonly acknowledge: (ids: readonly EventId[], place: number) => void;
  readonly reject: (error: unknown) => void;
}
