import type { HubSettings } from "../options.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { Stream, StreamHost } from "./stream.ts";
import type { Cohort, Frame } from "./cohort.ts";
import type { Cohorts } from "./cohorts.ts";

/** Sends new events to live streams, cohort by cohort: one frame for all, one write for each stream and turn. */
export class FanOut {
  readonly #settings: HubSettings;
  readonly #host: StreamHost;
  readonly #cohorts: Cohorts;
  /** Closes a stream whose topics have all ended. */
  readonly #end: (stream: Stream) => void;
  #sending: Cohort<Stream>[] = [];
  #frameMemo: { entries: readonly StoredEvent[]; frame: Frame } | null = null;

  constructor(settings: HubSettings, host: StreamHost, cohorts: Cohorts, end: (stream: Stream) => void) {
    this.#settings = settings;
    this.#host = host;
    this.#cohorts = cohorts;
    this.#end = end;
  }

  get hasWork(): boolean {
    return this.#sending.length > 0;
  }

  /** Hands new events of the log to the cohorts that want them. */
  route(entries: readonly StoredEvent[]): void {
    const maxPendingBytes = this.#settings.maxFrameBytes * PENDING_FRAMES;
    const now = this.#settings.clock.now();
    let entry = entries[0]!;
    const hand = (cohort: Cohort<Stream>): void => {
      if (!cohort.take(entry, maxPendingBytes, now) || cohort.queued) return;
      cohort.queued = true;
      this.#sending.push(cohort);
    };
    // Events that come together are often of one topic, and patterns cost more to match than all the rest.
    let topic: string | null = null;
    const wanted: Cohort<Stream>[] = [];
    for (entry of entries) {
      if (entry.topic !== topic) {
        topic = entry.topic;
        wanted.length = 0;
        this.#cohorts.match(entry.topic, (cohort) => wanted.push(cohort));
      }
      for (const cohort of wanted) hand(cohort);
    }
  }

  /** One turn's work, of as many writes. */
  run(writes: number): void {
    const part = Math.ceil(writes / COHORT_PART);
    for (let left = writes; this.#sending.length > 0 && left > 0;) {
      const cohort = this.#sending.shift()!;
      left -= this.#send(cohort, Math.min(left, part));
      if (cohort.frame !== null || cohort.hasPending) this.#sending.push(cohort);
      else cohort.queued = false;
    }
    this.#frameMemo = null;
  }

  /** Writes the cohort's frame to as many streams as allowed. Answers how many writes that counts for. */
  #send(cohort: Cohort<Stream>, limit: number): number {
    if (cohort.frame === null && !this.#begin(cohort)) return 0;
    const { clock, observer } = this.#settings;
    const { bytes, events, last } = cohort.frame!;
    const cost = 1 + (bytes.byteLength >>> WRITE_SHIFT);
    let written = 0;
    let taken = 0;
    while (cohort.unsent > 0 && written < limit) {
      const stream = cohort.live[--cohort.unsent]!;
      if (stream.cursor >= last) continue; // joined, or moved to this place, after it had these events
      written += cost;
      if (stream.offer(bytes, events, last)) taken++;
    }
    this.#host.counters.deliveries += taken * events.length;
    this.#host.counters.bytes += taken * bytes.byteLength;
    if (cohort.unsent > 0) return written;
    cohort.frame = null;
    cohort.lastWrite = clock.now();
    observer.fannedOut(cohort.lastWrite - cohort.frameSince);
    if (!cohort.hasPending && cohort.hasEnded) for (const stream of cohort.live.slice()) this.#end(stream);
    return written;
  }

  /** Makes the cohort's next frame. False when there is none. */
  #begin(cohort: Cohort<Stream>): boolean {
    const overrun = cohort.takeOverrun();
    if (overrun !== null) {
      for (const stream of overrun.streams) {
        stream.cursor = Math.max(stream.cursor, overrun.cursor);
        stream.state = "catching-up";
        this.#host.unblocked(stream);
      }
      return false;
    }
    if (!cohort.hasPending) return false;
    cohort.begin(this.#frameOf(cohort.nextEvents(this.#settings.maxFrameBytes)));
    return true;
  }

  /** Cohorts whose selectors differ are often sent the same events. */
  #frameOf(entries: readonly StoredEvent[]): Frame {
    const memo = this.#frameMemo;
    if (memo?.entries.length === entries.length && memo.entries.every((entry, at) => entry === entries[at])) {
      return memo.frame;
    }
    let text = "";
    for (const entry of entries) text += entry.wire;
    const first = entries[0]!.seq;
    const { seq: last } = entries[entries.length - 1]!;
    const frame = { bytes: encoder.encode(text), events: entries, first, last };
    this.#frameMemo = { entries, frame };
    return frame;
  }
}

/** The part of a turn's writes that go to one cohort before the next has its turn. */
const COHORT_PART = 4;
/** A write of more bytes than 2 to this power, 16 KiB, counts as several. */
const WRITE_SHIFT = 14;
/** Frames that may wait for a cohort; what is more is read from the log. */
const PENDING_FRAMES = 16;

const encoder = new TextEncoder();
