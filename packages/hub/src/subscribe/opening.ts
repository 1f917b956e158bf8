import type { GapReason, Resume } from "../control-events.ts";
import type { OpenStreams } from "../deliver/open-streams.ts";
import type { Stream } from "../deliver/stream.ts";
import type { EventId } from "../log/event-id.ts";
import type { Position } from "../log/event-log.ts";
import type { Sink } from "../sinks/sink.ts";
import type { SelectorSet } from "../topics/topic.ts";

/**
 * A stream that has its quotas, is registered with its cohort, and knows where it begins. Nothing that is published from now on
 * passes it by. {@link attach} it to a sink, or {@link cancel} it; after 10 s without either it is cancelled.
 */
export class Opening {
  /** True when the client has had all that there is and all its topics have ended: answer 204, there is no stream any more. */
  readonly over: boolean;
  /** Whether it begins where the client asked to. */
  readonly resume: Resume;
  /** Why the client can no longer be given some events; null: it can be given all. */
  readonly gap: GapReason | null;
  /** Selected events that were there after its cursor when it was opened. */
  readonly replayed: number;
  readonly #streams: OpenStreams;
  readonly #stream: Stream;
  readonly #lastEventId: string;
  readonly #id: EventId;

  constructor(streams: OpenStreams, stream: Stream, position: Position) {
    this.#streams = streams;
    this.#stream = stream;
    this.#lastEventId = stream.request!.lastEventId;
    this.#id = streams.id(position.cursor);
    this.resume = position.resume;
    this.gap = position.gap;
    this.replayed = position.replayed;
    // A topic may have begun anew since the log looked.
    this.over =
      isOver(stream.cohort.selectors, position) && !streams.hasNewsSince(stream.cohort, position.upTo);
    if (this.over) this.cancel();
  }

  /**
   * Writes the stream's first bytes to the sink, and then every selected event after its start, in order and once, until one
   * side closes it. A stream that was closed meanwhile, as the hub is closing, says so to the sink, and closes it.
   *
   * @throws TypeError when the stream has a sink already
   */
  attach(sink: Sink): Stream {
    const stream = this.#stream;
    if (stream.sink !== null) throw new TypeError("the stream has a sink already");
    if (stream.state === "closed") {
      const id = this.#lastEventId === "" ? this.#id : this.#lastEventId;
      this.#streams.tellClosing(stream, sink, id, "drain");
      sink.close("drain");
    } else this.#streams.resumer.attach(stream, sink);
    return stream;
  }

  /** Gives back what the stream took. Of no effect once it is attached. */
  cancel(): void {
    if (this.#stream.sink === null) this.#stream.finish("client");
  }
}

/** True when the client has had all that there will ever be: every topic has ended, and nothing is missing up to the ends. */
function isOver({ patterns }: SelectorSet, { resume, gap, ends, cursor }: Position): boolean {
  if (resume !== "resumed" || gap !== null || patterns.length > 0) return false;
  return ends.every((end) => end > 0 && end <= cursor);
}
