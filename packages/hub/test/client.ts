import { createDecoder, type ServerSentEvent } from "@sse/protocol";
import { type Hub, RecordingSink, type Stream, type StreamRequest } from "../src/index.ts";

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

export interface Connection {
  sink: RecordingSink;
  stream: Stream;
}

export function connect(hub: Hub, request: Partial<StreamRequest> = {}): Connection {
  const sink = new RecordingSink();
  return { sink, stream: hub.subscribe({ topics: ["t"], ...request, sink }) };
}
