import { connect } from "node:net";
import type { RunningPeer } from "./peers/peer.ts";
import { ResponseReader } from "./response.ts";
import { TOPIC } from "./stage.ts";

/** Bytes for each event of a stream. */
export interface Framing {
  readonly dataBytes: number | null;
  readonly eventBytes: number | null;
  readonly httpBytes: number | null;
}

/** As much of a stream is enough, and so long is waited for it; milliseconds. */
const ENOUGH_EVENTS = 500;
const WITHIN = 2000;

/** Takes a piece of a stream that is under load, and tells what its bytes are for. */
export async function captureFraming(peer: RunningPeer): Promise<Framing> {
  const { hostname, port, pathname, search } = new URL(peer.eventsUrl(TOPIC));
  let all = 0;
  let text = "";
  const reader = new ResponseReader({
    head: () => {},
    body: (bytes, start, end) => {
      text += bytes.toString("utf8", start, end);
    },
    end: () => {},
  });
  const socket = connect(Number(port), hostname);
  const { promise, resolve } = Promise.withResolvers<void>();
  let headBytes = 0;
  socket.on("data", (bytes: Buffer) => {
    all += bytes.length;
    if (headBytes === 0) headBytes = bytes.indexOf("\r\n\r\n") + 4;
    reader.feed(bytes);
    if (text.split("\n\n").length > ENOUGH_EVENTS) resolve();
  });
  socket.on("error", () => resolve());
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: ${hostname}\r\naccept: text/event-stream\r\n\r\n`);
  await Promise.race([promise, Bun.sleep(WITHIN)]);
  socket.destroy();
  // The last is not whole.
  const events = text
    .split("\n\n")
    .slice(0, -1)
    .filter((event) => event.includes("data: ") && !event.includes("sse:"));
  if (events.length === 0) return { dataBytes: null, eventBytes: null, httpBytes: null };
  const data = events.map((event) => /^data: (.*)$/m.exec(event)![1]!.length).reduce((a, b) => a + b);
  const wire = events.map((event) => event.length + "\n\n".length).reduce((a, b) => a + b);
  return {
    dataBytes: data / events.length,
    eventBytes: (wire - data) / events.length,
    httpBytes: (all - headBytes - text.length) / events.length,
  };
}
