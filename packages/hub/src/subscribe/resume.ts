import { endEvent, gapEvent, type GapReason, readyEvent } from "../control-events.ts";
import type { CatchUp } from "../deliver/catch-up.ts";
import { controlBytes } from "../deliver/encoding.ts";
import type { Stream, StreamHost } from "../deliver/stream.ts";
import { HubError } from "../errors.ts";
import type { Cursor, EventId } from "../log/event-id.ts";
import type { MaybePromise, Position, PositionRequest } from "../log/event-log.ts";
import type { HubSettings } from "../options.ts";
import type { Sink } from "../sinks/sink.ts";
import type { SelectorSet } from "../topics/topic.ts";

/** Asks the log where a stream begins, or goes on after the log has changed, and tells its client. From there on it catches up. */
export class Resumer {
  readonly #settings: HubSettings;
  readonly #host: ResumerHost;
  readonly #catchUp: CatchUp;
  /** Grows whenever the log changes otherwise than by appending: what it answered before that may not hold any more. */
  #changes = 0;
  /** What the log was asked last, in this turn and since its last event: streams of a cohort ask the same when it has changed. */
  #asked: { selectors: string; lastEventId: string; answer: MaybePromise<Position> } | null = null;

  constructor(settings: HubSettings, host: ResumerHost, catchUp: CatchUp) {
    this.#settings = settings;
    this.#host = host;
    this.#catchUp = catchUp;
  }

  /** The log has changed otherwise than by appending: no answer of before holds any more. */
  logChanged(): void {
    this.#changes++;
    this.#asked = null;
  }

  /** No stream is given an answer any more that another one was given. */
  forgetAsked(): void {
    this.#asked = null;
  }

  /**
   * Asks the log where a registered stream begins, and again when the log changes meanwhile.
   *
   * @param use is given the answer in the very turn in which it holds
   * @throws HubError (or rejects) `log-failed`, or `closed` when the stream was closed meanwhile; nothing is left of the stream
   */
  position<Result>(stream: Stream, use: (position: Position) => Result): MaybePromise<Result> {
    const changes = this.#changes;
    const found = (position: Position): MaybePromise<Result> => {
      if (stream.request === null)
        throw new HubError("closed", "the server is shutting down; connect again later");
      if (changes !== this.#changes) return this.position(stream, use);
      stream.lastWrite = this.#settings.clock.now(); // from now on it waits to be attached
      stream.awaited = null;
      stream.position = position;
      return use(position);
    };
    const failed = (error: unknown): never => {
      stream.finish("error");
      throw error;
    };
    try {
      const answer = this.#ask(stream.request!);
      if (!(answer instanceof Promise)) return found(answer);
      stream.awaited = answer;
      return answer.then(found).catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  /** Writes the first bytes; from then on the stream is given whatever its selectors match after its cursor. */
  attach(stream: Stream, sink: Sink): void {
    stream.sink = sink;
    if (stream.position === null) this.#start(stream);
    else this.#begin(stream, stream.position);
  }

  /** Asks where a stream begins that has its sink: the log has changed since it answered, and may change again. */
  #start(stream: Stream): void {
    const changes = this.#changes;
    const ask = () => this.#ask(stream.request!);
    this.#locate(stream, ask, (position) => {
      if (changes === this.#changes) this.#begin(stream, position);
      else this.#start(stream);
    });
  }

  #begin(stream: Stream, position: Position): void {
    const { cohort, request } = stream;
    const id = this.#host.id(position.cursor);
    this.#host.counters.resumes[position.resume]++;
    if (position.gap !== null) this.#host.counters.gaps[position.gap]++;
    cohort.learnEnds(position);
    stream.answered();
    stream.request = stream.position = null;
    stream.state = "catching-up";
    const text = readyText(request!, position, id, this.#host.retry());
    const bytes = controlBytes(cohort.encoding, text);
    if (stream.write(bytes, [], position.cursor)) this.#catchUp.goOn(stream);
  }

  /** Asks the log where a stream goes on, since its events are gone, or the log has changed under it. */
  relocate(stream: Stream, from: Cursor = 0): void {
    const { selectors } = stream.cohort;
    const lastEventId = stream.lastEventId ?? this.#host.id(stream.cursor);
    const ask = (): MaybePromise<Position> => {
      if (this.#asked?.lastEventId !== lastEventId || this.#asked.selectors !== selectors.key) {
        const answer = this.#ask({ selectors, lastEventId, replay: 0, counted: false });
        this.#asked = { selectors: selectors.key, lastEventId, answer };
      }
      return this.#asked.answer;
    };
    this.#locate(stream, ask, (position) => this.#goOn(stream, lastEventId, position, from));
  }

  #goOn(stream: Stream, lastEventId: string, position: Position, from: Cursor): void {
    if (stream.state !== "catching-up") {
      stream.answered(); // it asks again when its reader goes on
      return;
    }
    // What a read found to be gone is gone, whatever the log says of it.
    const isGone = from > position.cursor;
    const found: Position = isGone ? { ...position, cursor: from, gap: position.gap ?? "evicted" } : position;
    const { cohort } = stream;
    const id = this.#host.id(found.cursor);
    cohort.learnEnds(found);
    stream.answered();
    const text = goOnText(cohort.selectors, found, lastEventId, stream.cursor, id);
    if (text !== "" && stream.fellBehind && stream.lag === "disconnect") {
      this.#host.close(stream, "slow"); // with the id that it has now: nothing of this was told
      return;
    }
    stream.lastEventId = null;
    if (text === "") stream.cursor = found.cursor;
    else {
      if (found.gap !== null) this.#host.counters.gaps[found.gap]++;
      if (!stream.write(controlBytes(cohort.encoding, text), [], found.cursor)) return;
    }
    this.#catchUp.goOn(stream);
  }

  /** Goes on with the log's answer for a stream, unless the stream waits for another one by then. */
  #locate(stream: Stream, ask: () => MaybePromise<Position>, use: (position: Position) => void): void {
    const fail = (error: unknown): void => {
      this.#host.end(stream, "error", error);
      this.#host.report(error);
    };
    let answer: MaybePromise<Position>;
    try {
      answer = ask();
    } catch (error) {
      fail(error);
      return;
    }
    if (!(answer instanceof Promise)) {
      use(answer);
      return;
    }
    stream.asks();
    stream.awaited = answer;
    const isAwaited = (): boolean => stream.awaited === answer;
    answer.then(
      (position) => {
        if (!isAwaited()) return;
        stream.awaited = null;
        use(position);
      },
      (error: unknown) => {
        if (isAwaited()) fail(error);
      },
    );
  }

  /** Asks the log. @throws HubError (or rejects) as `EventLog.position` */
  #ask(request: PositionRequest): MaybePromise<Position> {
    try {
      const answer = this.#settings.log.position(request);
      if (!(answer instanceof Promise)) return answer;
      return answer.catch((error: unknown) => {
        throw logFailed(error);
      });
    } catch (error) {
      throw logFailed(error);
    }
  }
}

/** What else there is to do with streams. */
interface ResumerHost extends StreamHost {
  /** The cursor as clients know it. */
  id(cursor: Cursor): EventId;
  /** A reconnection time, in milliseconds. */
  retry(): number;
  /** Ends the stream, and tells the client why. */
  close(stream: Stream, reason: "slow"): void;
  /** Ends the stream without a word more. */
  end(stream: Stream, reason: "error", error: unknown): void;
}

/** What the gap event tells of where the client was: nothing that is not an id of ours. */
function gapFrom(reason: GapReason, lastEventId: string): string | null {
  return reason === "unknown-id" ? null : lastEventId;
}

/** The first bytes of a stream: where it begins, what is missing before that, and which of its topics have ended by then. */
function readyText(
  { selectors, lastEventId }: PositionRequest,
  { resume, replayed, gap, ends, cursor }: Position,
  id: EventId,
  retry: number,
): string {
  if (gap === null)
    return readyEvent(id, retry, { resume, replayed }) + endsText(selectors, ends, 0, cursor, id);
  return (
    readyEvent(id, retry, { resume, replayed, reason: gap }) +
    gapEvent(gap, gapFrom(gap, lastEventId), id) +
    endsText(selectors, ends, 0, cursor, id)
  );
}

/**
 * What a stream is told when the log has changed under it, or events are gone that it should have had: nothing, where it goes
 * on as it was.
 *
 * @param after its cursor, in the epoch of its id
 * @param id of where it goes on
 */
function goOnText(
  selectors: SelectorSet,
  { gap, ends, cursor }: Position,
  lastEventId: string,
  after: Cursor,
  id: EventId,
): string {
  if (gap === null) return endsText(selectors, ends, after, cursor, id);
  // Beyond events that are only evicted, numbers go on as they were, in whatever epoch; else they tell nothing of what came before.
  const told = gap === "evicted" ? after : 0;
  return gapEvent(gap, gapFrom(gap, lastEventId), id) + endsText(selectors, ends, told, cursor, id);
}

/** Topics that ended in (after, upTo]: nothing else will tell a stream that begins there. */
function endsText(
  { topics }: SelectorSet,
  ends: readonly Cursor[],
  after: Cursor,
  upTo: Cursor,
  id: EventId,
): string {
  let text = "";
  for (const [at, topic] of topics.entries()) {
    const end = ends[at]!;
    if (end > after && end <= upTo) text += endEvent(id, topic);
  }
  return text;
}

function logFailed(error: unknown): HubError {
  if (error instanceof HubError) return error;
  return new HubError("log-failed", `the log cannot be asked where the stream begins: ${String(error)}`, {
    cause: error,
  });
}
