import { type GapReason, gapEvent } from "../control-events.ts";
import { type Cursor, type EventId, formatEventId } from "../log/event-id.ts";
import type { MaybePromise, Page } from "../log/event-log.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import type { HubSettings } from "../options.ts";
import type { LagPolicy } from "../subscribe/request.ts";
import type { Stream, StreamHost } from "./stream.ts";
import type { Cohort } from "./cohort.ts";
import type { Encoding } from "./encoding.ts";

/** Reads the log for streams that are not live, slice by slice, until they have had all that their cohort was sent. */
export class CatchUp {
  readonly #settings: HubSettings;
  readonly #host: CatchUpHost;
  readonly #queue: Stream[] = [];
  #memo: Memo | null = null;
  /** Slices that this turn has left. */
  #left = 0;

  constructor(settings: HubSettings, host: CatchUpHost) {
    this.#settings = settings;
    this.#host = host;
  }

  get hasWork(): boolean {
    return this.#queue.length > 0;
  }

  /** Reads for the stream in one of the next turns. */
  add(stream: Stream): void {
    if (stream.queued) return;
    stream.queued = true;
    this.#queue.push(stream);
  }

  /** One turn's work: a slice for each of as many streams, or of fewer, where slices are larger than a frame. */
  run(slices: number): void {
    this.#left = slices;
    const due = this.#queue.length; // those who go on have their next turn
    let at = 0;
    while (at < due && this.#left > 0) {
      const stream = this.#queue[at++]!;
      this.#left--;
      stream.queued = false;
      // One question of a stream is under way at a time: the answer to it goes on.
      if (stream.state === "catching-up" && stream.awaited === null) this.#read(stream);
    }
    this.#queue.splice(0, at);
    if (!this.hasWork) this.#memo = null;
  }

  /** The log has changed otherwise than by appending: what was read before does not hold any more. */
  logChanged(): void {
    this.#memo = null;
  }

  /**
   * A stream joins its cohort at the edge of what is pending there, so that the next frame is wholly new to it. One that
   * is behind the edge reads on; one that is beyond it waits until the pending events are under way.
   */
  goOn(stream: Stream): void {
    if (stream.cursor !== stream.cohort.covered(this.#host.head)) {
      this.#host.unblocked(stream);
      return;
    }
    stream.state = "live";
    stream.fellBehind = false;
    stream.cohort.join(stream);
    if (stream.cohort.isOver) this.#host.over(stream.cohort);
  }

  #read(stream: Stream): void {
    if (stream.lastEventId !== null) {
      this.#host.relocate(stream);
      return;
    }
    const after = stream.cursor;
    if (after >= stream.cohort.covered(this.#host.head)) {
      this.goOn(stream);
      return;
    }
    let slice: MaybePromise<Slice>;
    try {
      slice = this.#slice(stream);
    } catch (error) {
      this.#fail(stream, error);
      return;
    }
    if (!(slice instanceof Promise)) {
      this.#deliver(stream, slice);
      return;
    }
    const answer = slice;
    stream.awaited = answer;
    answer.then(
      (found) => {
        if (stream.awaited !== answer) return; // the log has changed under the stream since
        stream.awaited = null;
        if (stream.state === "catching-up") this.#deliver(stream, found);
      },
      (error: unknown) => {
        if (this.#memo?.slice === answer) this.#memo = null; // the next one asks again
        if (stream.awaited === answer) this.#fail(stream, error);
      },
    );
  }

  #fail(stream: Stream, error: unknown): void {
    this.#host.end(stream, "error", error);
    this.#host.report(error);
  }

  #slice({ cohort, cursor, lag }: Stream): MaybePromise<Slice> {
    const upTo = cohort.covered(this.#host.head);
    const memo = this.#memo;
    if (memo?.cohort === cohort && memo.cursor === cursor && memo.upTo <= upTo && memo.lag === lag) {
      return memo.slice;
    }
    const limits = { bytes: this.#settings.maxFrameBytes, upTo, latest: lag === "latest" };
    const { epoch } = this.#host;
    const page = this.#settings.log.read(cursor, cohort.selectors, limits);
    const slice =
      page instanceof Promise
        ? page.then((late) => this.#sliceOf(cohort, cursor, late, epoch))
        : this.#sliceOf(cohort, cursor, page, epoch);
    this.#memo = { cohort, cursor, upTo, lag, slice };
    return slice;
  }

  #sliceOf({ encoding }: Cohort<Stream>, after: Cursor, page: Page, epoch: string): Slice {
    const written = encoding === null ? page : encoding.encodePage(page, this.#settings.maxFrameBytes);
    return sliceOf(after, written, epoch, encoding);
  }

  /** The slice begins at the stream's cursor: only a read moves the cursor of a stream that is catching up. */
  #deliver(stream: Stream, { from, bytes, events, lags, cursor }: Slice): void {
    if (from > stream.cursor) {
      this.#host.relocate(stream, from);
      return;
    }
    if (bytes === null) stream.cursor = cursor;
    else {
      if (stream.fellBehind && stream.lag === "disconnect") {
        this.#host.close(stream, "slow");
        return;
      }
      this.#host.counters.gaps.lag += lags;
      // An event of a megabyte, in an envelope six of them, is a slice that takes milliseconds.
      this.#left -= Math.floor(bytes.byteLength / this.#settings.maxFrameBytes);
      if (!stream.write(bytes, events, cursor)) return;
    }
    this.goOn(stream);
  }
}

/** What the hub does with a stream besides reading the log for it. */
export interface CatchUpHost extends StreamHost {
  readonly epoch: string;
  /** Ends the stream, and tells the client why. */
  close(stream: Stream, reason: "slow"): void;
  /** Ends the stream without a word more. */
  end(stream: Stream, reason: "error", error: unknown): void;
  /** Closes the live streams of the cohort, which have had everything. */
  over(cohort: Cohort<Stream>): void;
  /** Asks the log where the stream goes on. @param from not before this */
  relocate(stream: Stream, from?: Cursor): void;
}

const encoder = new TextEncoder();

/** What one read of the log becomes on the wire. */
interface Slice {
  /** Where it begins: beyond the cursor that was asked for when events are gone. */
  readonly from: Cursor;
  /** Null when there is nothing to write. */
  readonly bytes: Uint8Array | null;
  readonly events: readonly StoredEvent[];
  /** How often newer events stand for some that were left out. */
  readonly lags: number;
  readonly cursor: Cursor;
}

/** A read that other streams want too: those that came together go on together, some of them in each turn. */
interface Memo {
  readonly cohort: Cohort<Stream>;
  readonly lag: LagPolicy;
  readonly cursor: Cursor;
  readonly upTo: Cursor;
  readonly slice: MaybePromise<Slice>;
}

/** The page that the log gave for what follows a cursor, with each hole that newer events stand for told before the next. */
function sliceOf(
  after: Cursor,
  { from, entries, superseded, cursor }: Page,
  epoch: string,
  encoding: Encoding | null,
): Slice {
  const id = (seq: Cursor): EventId => formatEventId(epoch, seq);
  let lags = 0;
  // Joined, the text of each event is put together once for all slices; added up, in each slice anew.
  const texts: string[] = [];
  let seen = after;
  const tellLag = (to: Cursor): void => {
    lags++;
    const gap = gapEvent("lag" satisfies GapReason, id(seen), id(to));
    texts.push(encoding === null ? gap : encoding.encodeControl(gap));
    seen = to;
  };
  for (const [at, entry] of entries.entries()) {
    const dropped = superseded?.[at] ?? 0;
    if (dropped > 0) tellLag(dropped);
    texts.push(entry.wire);
    seen = entry.seq;
  }
  const dropped = superseded?.[entries.length] ?? 0;
  if (dropped > 0) tellLag(dropped);
  const bytes = texts.length === 0 ? null : encoder.encode(texts.join(""));
  return { from, bytes, events: entries, lags, cursor };
}
