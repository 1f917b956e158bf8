import type { ServerSentEvent } from "../src/index.ts";

/** All that a decoder can be seen to do with a stream. */
export interface Outcome {
  events: ServerSentEvent[];
  retries: number[];
  comments: string[];
  lastEventId: string;
}

/** The standard's algorithm, written down as the standard words it, over a stream that is complete. Slow and obvious. */
export function decodeWhole(stream: Uint8Array, initialLastEventId = ""): Outcome {
  const outcome: Outcome = { events: [], retries: [], comments: [], lastEventId: initialLastEventId };
  const text = new TextDecoder("utf-8").decode(stream);
  const lines = text.split(/\r\n|\n|\r/);
  lines.pop(); // not ended by a line end
  let data = "";
  let type = "";
  let id = initialLastEventId;
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (line === "") {
      outcome.lastEventId = id;
      if (data !== "") {
        outcome.events.push({ type: type || "message", data: data.slice(0, -1), lastEventId: id });
      }
      data = "";
      type = "";
    } else if (colon === 0) outcome.comments.push(value);
    else if (name === "event") type = value;
    else if (name === "data") data += `${value}\n`;
    else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) outcome.retries.push(Number(value));
  }
  return outcome;
}
