import type { NewEvent, SelectorSet } from "../src/index.ts";
import type {
  BrokerPage,
  BrokerPosition,
  BrokerQuestion,
  BrokerRecord,
  BrokerState,
} from "../src/log/broker/broker.ts";
import type { Config } from "./config.ts";

/** What a broker keeps of a log, the plainest way there is. A copy of it can be put back later. */
export class BrokerRecords {
  epoch: string;
  inherited = 0;
  /** The last event that was evicted. */
  evicted = 0;
  last = 0;
  records: BrokerRecord[] = [];
  /** By topic: its last evicted event, and whether that ended it. */
  topics = new Map<string, { seq: number; end: boolean }>();
  /** Of the newest event, which can be evicted. */
  mark = "";

  constructor(epoch: string) {
    this.epoch = epoch;
  }

  copy(): BrokerRecords {
    const copy = new BrokerRecords(this.epoch);
    Object.assign(copy, this, { records: this.records.slice(), topics: new Map(this.topics) });
    return copy;
  }

  /** The newest events are gone, and their numbers are free. @returns the last that is left */
  lose(count: number): number {
    const lost = this.records.splice(Math.max(0, this.records.length - count));
    const newest = this.records.at(-1);
    this.last = newest?.seq ?? this.evicted;
    this.mark = newest?.mark ?? lost[0]?.follows ?? "";
    return this.last;
  }

  /** The number of the event under this topic and publisher's id. */
  published({ topic, idempotencyKey }: NewEvent): number | undefined {
    if (idempotencyKey === "") return undefined;
    return this.records.findLast(
      ({ event }) => event.topic === topic && event.idempotencyKey === idempotencyKey,
    )?.seq;
  }

  add(event: NewEvent, seq: number, time: number, mark: string): void {
    this.records.push({ seq, time, mark, follows: this.mark, event });
    this.last = seq;
    this.mark = mark;
  }

  evict({ maxEvents, maxBytes, maxAge }: Config["retention"], now: number): void {
    let bytes = this.bytes;
    for (let oldest = this.records[0]; oldest !== undefined; oldest = this.records[0]) {
      if (this.records.length <= maxEvents && bytes <= maxBytes && now - oldest.time <= maxAge) return;
      this.records.shift();
      bytes -= sizeOf(oldest.event);
      this.evicted = oldest.seq;
      this.topics.set(oldest.event.topic, { seq: oldest.seq, end: oldest.event.end });
    }
  }

  get bytes(): number {
    return this.records.reduce((sum, { event }) => sum + sizeOf(event), 0);
  }

  state(seen: number, recent: number, refusal: string | null): BrokerState {
    const { epoch, inherited, evicted, last, records, bytes } = this;
    const mark = records.find(({ seq }) => seq === seen)?.mark ?? (seen === last ? this.mark || null : null);
    const newest = records.at(-recent);
    return {
      epoch,
      inherited,
      first: evicted + 1,
      last,
      events: records.length,
      bytes,
      recent: newest === undefined ? evicted : (records[records.length - recent - 1]?.seq ?? evicted),
      mark,
      refusal,
    };
  }

  /** From where on nothing that is selected is missing. */
  #floor(after: number, { topics, patterns }: SelectorSet): number {
    if (patterns.length > 0) return Math.max(after, this.evicted);
    return Math.max(after, ...topics.map((topic) => this.topics.get(topic)?.seq ?? 0));
  }

  #selected(after: number, selectors: SelectorSet, upTo: number): BrokerRecord[] {
    return this.records.filter(
      ({ seq, event }) => seq > after && seq <= upTo && selectors.matches(event.topic),
    );
  }

  page(
    after: number,
    selectors: SelectorSet,
    { bytes, upTo, latest }: { bytes: number; upTo: number; latest: boolean },
  ): BrokerPage {
    const from = this.#floor(after, selectors);
    const kept: BrokerRecord[] = [];
    let cursor = Math.max(from, upTo);
    let left = bytes;
    for (const record of this.#selected(from, selectors, upTo)) {
      left -= sizeOf(record.event);
      if (kept.length > 0 && left < 0) {
        cursor = kept.at(-1)!.seq;
        break;
      }
      kept.push(record);
    }
    const isOutdated = ({ seq, event: { topic, key, end } }: BrokerRecord): boolean =>
      !end &&
      this.records.some(
        ({ seq: other, event }) => other > seq && !event.end && event.topic === topic && event.key === key,
      );
    return {
      from,
      kept,
      outdated: new Set(latest ? kept.filter(isOutdated).map(({ seq }) => seq) : []),
      cursor,
    };
  }

  position({ selectors, after, last, upTo, counted }: BrokerQuestion): BrokerPosition {
    const before = (): number =>
      last === 0 ? upTo : (this.#selected(0, selectors, upTo).at(-last)?.seq ?? 1) - 1;
    const from = this.#floor(after ?? before(), selectors);
    const ends = selectors.topics.map((topic) => {
      const newest = this.records.findLast(({ seq, event }) => seq <= upTo && event.topic === topic);
      if (newest !== undefined) return newest.event.end ? newest.seq : 0;
      const gone = this.topics.get(topic);
      return gone?.end === true ? gone.seq : 0;
    });
    return { from, replayed: counted ? this.#selected(from, selectors, upTo).length : 0, ends };
  }
}

/** What an event counts, roughly as in Redis. */
function sizeOf({ topic, key, idempotencyKey, type, data }: NewEvent): number {
  return 256 + topic.length + key.length + idempotencyKey.length + type.length + Buffer.byteLength(data);
}
