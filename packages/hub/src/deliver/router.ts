import { turnStepsOf } from "../clock.ts";
import type { Cursor } from "../log/event-id.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { HubSettings } from "../options.ts";
import type { Cohort } from "./cohort.ts";
import type { Cohorts } from "./cohorts.ts";
import type { Stream } from "./stream.ts";
import { MATCH_STEPS } from "./topic-match.ts";

/**
 * Hands new events of the log to the cohorts that want them, in the order of the log. Where that takes long, as many events and many
 * patterns do, it goes on in the next turns of the event loop.
 */
export class Router {
  /** The last event that was handed to every cohort that wants it. */
  head: Cursor;
  readonly #settings: HubSettings;
  readonly #cohorts: Cohorts;
  /** A cohort has something to send, and had not before. */
  readonly #queue: (cohort: Cohort<Stream>) => void;
  readonly #waiting: { readonly entries: readonly StoredEvent[]; readonly since: number }[] = [];
  #waitingBytes = 0;
  /** The event of the first that is being handed out, and the place of the next cohort among those that want it. */
  #place = 0;
  #next = 0;
  /** Steps that are left until the next turn. */
  #left: number;

  constructor(settings: HubSettings, cohorts: Cohorts, queue: (cohort: Cohort<Stream>) => void) {
    this.#settings = settings;
    this.#cohorts = cohorts;
    this.#queue = queue;
    this.#left = turnStepsOf(settings.clock);
    this.head = settings.log.bounds().last;
  }

  get hasWork(): boolean {
    return this.#waiting.length > 0;
  }

  /** True when there are events after this one that not all cohorts have been handed. */
  hasAfter(cursor: Cursor): boolean {
    const newest = this.#waiting.at(-1)?.entries.at(-1);
    return newest !== undefined && newest.seq > cursor;
  }

  /** New events of the log. False when too many wait: the streams are to read the log instead. */
  append(entries: readonly StoredEvent[]): boolean {
    const isFirst = this.#waiting.length === 0;
    this.#waiting.push({ entries, since: this.#settings.clock.now() });
    if (isFirst) this.#route();
    if (!this.hasWork) return true;
    this.#waitingBytes += waitingBytes(entries);
    return this.#waitingBytes <= MAX_WAITING_BYTES;
  }

  /** One turn's work. */
  run(): void {
    this.#left = turnStepsOf(this.#settings.clock);
    if (this.hasWork) this.#route();
  }

  /** Hands out nothing of before. @param head the last event that need not be handed out any more */
  clear(head: Cursor): void {
    this.head = head;
    this.#waiting.length = 0;
    this.#place = this.#next = this.#waitingBytes = 0;
    this.#cohorts.forgetMatch();
  }

  #route(): void {
    for (let first; (first = this.#waiting[0]) !== undefined; this.#waiting.shift()) {
      const { entries, since } = first;
      for (; this.#place < entries.length; this.#place++) {
        const entry = entries[this.#place]!;
        if (!this.#hand(entry, since)) return;
        this.head = entry.seq;
      }
      this.#place = 0;
    }
    this.#waitingBytes = 0;
    this.#cohorts.forgetMatch();
  }

  /** True when every cohort that wants it has it. */
  #hand(entry: StoredEvent, since: number): boolean {
    const maxPendingBytes = this.#settings.maxFrameBytes * PENDING_FRAMES;
    // Events that come together are often of one topic, and patterns cost more to match than all the rest.
    const match = this.#cohorts.match(entry.topic);
    this.#left = match.goOn(this.#left);
    if (!match.isDone) return false;
    const { found } = match;
    let next = this.#next;
    let left = this.#left;
    for (; next < found.length && left > 0; left -= MATCH_STEPS) {
      const cohort = found[next++]!;
      const hasTaken = cohort.take(entry, maxPendingBytes, since);
      if (cohort.encoding !== null) left -= cohort.encoding.takeBytes() >>> ENCODING_SHIFT;
      if (!hasTaken || cohort.queued) continue;
      cohort.queued = true;
      this.#queue(cohort);
    }
    this.#next = next;
    this.#left = left;
    if (next < found.length) return false;
    this.#next = 0;
    return true;
  }
}

function waitingBytes(entries: readonly StoredEvent[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.bytes + ENTRY_BYTES;
  return bytes;
}

/** Frames that may wait for a cohort; what is more is read from the log. */
const PENDING_FRAMES = 16;
/** What may wait to be handed out. The log holds it anyway, until it evicts it. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** What an event that waits costs beyond its bytes. */
const ENTRY_BYTES = 256;
/** Bytes that are encoded count for a step for every 2 to this power of them. */
const ENCODING_SHIFT = 3;
