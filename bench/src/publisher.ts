import type { Histogram } from "hdr-histogram-js";
import { now } from "./clock.ts";
import { createHistogram, record } from "./histogram.ts";
import { eventKey, type Published } from "./ledger.ts";
import { MAX_CHANNELS, payload } from "./payload.ts";
import type { PublishRequest } from "./peers/peer.ts";
import { NO_ANSWER, PublishConnection } from "./publish-connection.ts";
import { BenchError, headerLines, pathOf, type Target } from "./target.ts";

export interface PublisherOptions {
  readonly target: Target;
  /** One for all events, or one for each topic in turn. */
  readonly requests: readonly PublishRequest[];
  readonly mark: string;
  readonly payloadBytes: number;
  /** Requests in flight at a time, each on a connection of its own. */
  readonly inFlight: number;
}

/**
 * How much may be published and not yet delivered, in deliveries and in events (see {@link Publisher.during}): no more
 * than the slowest server brings in half a minute, and than a small log holds.
 */
const DELIVERIES_BEHIND = 2e6;
const EVENTS_BEHIND = { least: 64, most: 4096 };
/** Milliseconds. */
const WAIT = 2;

/**
 * Publishes over HTTP and remembers what. Every connection has one request in flight at a time, so its events are in order, and are
 * numbered in a channel of its own; with several topics, each topic is a channel, and stays with one connection.
 */
export class Publisher implements Disposable {
  readonly #options: PublisherOptions;
  readonly #lanes: readonly PublishConnection[];
  readonly #heads: readonly string[];
  readonly #counts: Uint32Array;
  readonly #excused = new Set<number>();
  /** For each connection, which topic is next. */
  readonly #turns: Uint32Array;
  #done = 0;
  /** A request was not answered at all. Nothing more is published then: a server that hangs would take hours to refuse the rest. */
  #hangs = false;
  /** Bytes of data in the events from now on. */
  payloadBytes: number;
  /** How late events went out, in microseconds: because the timer was late, or no connection was free. */
  readonly lateness: Histogram = createHistogram();
  /** From the sending of a request to its answer, in microseconds. */
  readonly answers: Histogram = createHistogram();
  /** Answers other than 2xx, and requests that broke, by reason. */
  readonly refusals: Map<string, number> = new Map<string, number>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.payloadBytes = options.payloadBytes;
    const { target, requests, inFlight } = options;
    this.#lanes = Array.from({ length: inFlight }, () => new PublishConnection(target));
    this.#turns = new Uint32Array(inFlight);
    const channels = requests.length > 1 ? requests.length : inFlight;
    if (channels > MAX_CHANNELS) throw new BenchError(`at most ${MAX_CHANNELS} topics, not ${channels}`);
    this.#counts = new Uint32Array(channels);
    this.#heads = requests.map(
      ({ url, headers }) =>
        `POST ${pathOf(url)} HTTP/1.1\r\n${headerLines({ host: target.host, ...headers })}content-length: `,
    );
  }

  /** What the streams have to have. */
  get published(): Published {
    return { counts: this.#counts, excused: this.#excused };
  }

  /** Events that were answered with success. */
  get accepted(): number {
    return this.#done - this.#excused.size;
  }

  /**
   * Closed loop, for so many milliseconds: every connection publishes its next event when the last is answered. For throughput only:
   * a server that stops takes the publishers with it, so its latencies would mean nothing. When the streams are too far behind,
   * publishers wait for them: what is measured is what is delivered, and no log overflows.
   *
   * @param delivered how many of the events the streams have, at least
   * @param streams how many get each event
   */
  async during(milliseconds: number, delivered: () => number, streams: number): Promise<void> {
    const end = performance.now() + milliseconds;
    await this.#closedLoop(() => performance.now() >= end, delivered, streams);
  }

  /** Publishes so many events, as fast as they are answered. */
  async publish(events: number, delivered: () => number = () => Infinity): Promise<void> {
    let left = events;
    await this.#closedLoop(() => left-- <= 0, delivered, 1);
  }

  /**
   * Open loop: events are due at a fixed rate, whatever the server does. One that finds no free connection waits, and its time counts
   * from when it was due.
   *
   * @param rate events a second
   * @param start when the first is due, as `now()`
   * @param duration milliseconds
   */
  async atRate(rate: number, start: number, duration: number): Promise<void> {
    const due: number[] = [];
    const free = this.#lanes.map((_, lane) => lane);
    const busy = new Set<Promise<void>>();
    const dispatch = (): void => {
      while (due.length > 0 && free.length > 0 && !this.#hangs) {
        const lane = free.shift()!;
        const intended = due.shift()!;
        record(this.lateness, now() - intended);
        const sent: Promise<void> = this.#publish(lane, intended).then(() => {
          busy.delete(sent);
          free.push(lane);
          dispatch();
        });
        busy.add(sent);
      }
    };
    const interval = 1e6 / rate;
    const count = Math.floor((duration * 1000) / interval);
    for (let index = 0; index < count && !this.#hangs;) {
      const wait = (start + index * interval - now()) / 1000;
      if (wait > 0) await Bun.sleep(wait);
      while (index < count && start + index * interval <= now()) due.push(start + index++ * interval);
      dispatch();
    }
    while (busy.size > 0) await Promise.race(busy);
  }

  [Symbol.dispose](): void {
    for (const lane of this.#lanes) lane.close();
  }

  async #closedLoop(until: () => boolean, delivered: () => number, streams: number): Promise<void> {
    const { least, most } = EVENTS_BEHIND;
    const behind = Math.min(most, Math.max(least, DELIVERIES_BEHIND / streams));
    await Promise.all(
      this.#lanes.map(async (_, lane) => {
        while (!this.#hangs && !until()) {
          if (this.#done - delivered() > behind) await Bun.sleep(WAIT);
          else await this.#publish(lane, now());
        }
      }),
    );
  }

  async #publish(lane: number, intended: number): Promise<void> {
    const { requests, mark, inFlight } = this.#options;
    const topics = requests.length;
    let channel = lane;
    if (topics > 1) {
      const own = Math.ceil((topics - lane) / inFlight);
      if (own <= 0) return Bun.sleep(WAIT); // more connections than topics
      channel = lane + inFlight * (this.#turns[lane]!++ % own);
    }
    const topic = topics > 1 ? channel : 0;
    const number = this.#counts[channel]!++;
    const body = requests[topic]!.body(payload(mark, channel, number, intended, this.payloadBytes));
    const sent = now();
    const answer = await this.#lanes[lane]!.request(
      `${this.#heads[topic]}${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    record(this.answers, now() - sent);
    this.#done++;
    if (answer === null) return;
    if (answer === NO_ANSWER) this.#hangs = true;
    this.#excused.add(eventKey(channel, number));
    this.refusals.set(answer, (this.refusals.get(answer) ?? 0) + 1);
  }
}
