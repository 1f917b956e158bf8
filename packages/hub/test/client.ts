import { createDecoder, type ServerSentEvent } from "@sse/protocol";
import { type Hub, type Opening, RecordingSink, type Stream, type StreamRequest } from "../src/index.ts";

/** What a browser would have seen of a sink. */
export function decode(sink: RecordingSink): ServerSentEvent[] {
  const events: ServerSentEvent[] = [];
  const decoder = createDecoder({ onEvent: (event) => events.push(event) });
  for (const frame of sink.frames) decoder.feed(frame);
  return events;
}

/** The events of publishers, without the hub's own. */
export function dataOf(sink: RecordingSink): string[] {
  return decode(sink)
    .filter(({ type }) => !type.startsWith("sse:"))
    .map(({ data }) => data);
}

export function control(sink: RecordingSink, type: string): unknown[] {
  return decode(sink)
    .filter((event) => event.type === type)
    .map(({ data }) => JSON.parse(data) as unknown);
}

/** A client that is attached as soon as the log has answered. */
export class Connection {
  readonly sink = new RecordingSink();
  /** Null until the log has answered. */
  opening: Opening | null = null;
  /** Why it was not opened. */
  refused: unknown = null;
  #stream: Stream | null = null;

  constructor(hub: Hub, request: StreamRequest) {
    const attach = (opening: Opening): void => {
      this.opening = opening;
      if (!opening.over) this.#stream = opening.attach(this.sink);
    };
    const opened = hub.open(request);
    if (opened instanceof Promise) {
      opened.then(attach, (error: unknown) => {
        this.refused = error;
      });
    } else attach(opened);
  }

  get stream(): Stream {
    if (this.#stream === null) throw new Error("the stream is not attached");
    return this.#stream;
  }
}

export function connect(hub: Hub, request: Partial<StreamRequest> = {}): Connection {
  return new Connection(hub, { topics: ["t"], ...request });
}
