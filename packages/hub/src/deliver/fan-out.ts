import type { HubSettings } from "../options.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { Stream, StreamHost } from "./stream.ts";
import type { Cohort, Frame } from "./cohort.ts";

/** Sends new events to live streams, cohort by cohort: one frame for all, one write for each stream and turn. */
export class FanOut {
  readonly #settings: HubSettings;
  readonly #host: StreamHost;
  /** Closes a stream whose topics have all ended. */
  readonly #end: (stream: Stream) => void;
  readonly #sending: Cohort<Stream>[] = [];
  /** Whose topics have all ended. */
  readonly #over = new Set<Cohort<Stream>>();
  #frameMemo: { entries: readonly StoredEvent[]; frame: Frame } | null = null;

  constructor(settings: HubSettings, host: StreamHost, end: (stream: Stream) => void) {
    this.#settings = settings;
    this.#host = host;
    this.#end = end;
  }

  get hasWork(): boolean {
    return this.#sending.length > 0 || this.#over.size > 0;
  }

  /** The cohort has something to send. */
  add(cohort: Cohort<Stream>): void {
    this.#sending.push(cohort);
  }

  /** Closes the cohort's live streams, unless one of its topics begins anew before that. */
  close(cohort: Cohort<Stream>): void {
    this.#over.add(cohort);
  }

  /**
   * One turn's work, of as many writes.
   *
   * @param isRouted whether the cohorts have been handed all events of the log. While they have not, they can take a topic to have
   *   ended that has begun anew: where a stream has read that, it was not told of the end
   */
  run(writes: number, isRouted: boolean): void {
    const part = Math.ceil(writes / COHORT_PART);
    let left = writes;
    let at = 0;
    while (at < this.#sending.length && left > 0) {
      const cohort = this.#sending[at++]!;
      left -= this.#send(cohort, Math.min(left, part));
      if (cohort.frame !== null || cohort.hasPending) this.#sending.push(cohort);
      else {
        cohort.queued = false;
        if (cohort.isOver) this.#over.add(cohort);
      }
    }
    this.#sending.splice(0, at);
    if (isRouted) this.#closeSome(Math.max(left, part));
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
    return written;
  }

  /** @param writes as many of them as closes count for */
  #closeSome(writes: number): void {
    for (const cohort of this.#over) {
      for (; cohort.isOver; writes -= CLOSE_COST) {
        if (writes <= 0) return;
        this.#end(cohort.live.at(-1)!);
      }
      this.#over.delete(cohort);
    }
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
/** As many writes a close counts for. */
const CLOSE_COST = 2;

const encoder = new TextEncoder();
