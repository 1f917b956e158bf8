import type { ServerSentEvent } from "../src/index.ts";

/** One thing that a decoder is seen to do, and the byte that makes it do so, counted from 1. */
export type Step = { at: number } & (
  | { kind: "event"; event: ServerSentEvent }
  | { kind: "retry"; milliseconds: number }
  | { kind: "comment"; text: string }
  | { kind: "id"; lastEventId: string }
  | { kind: "too large" }
);

/** All that a decoder can be seen to do with a stream. */
export interface Outcome {
  events: ServerSentEvent[];
  retries: number[];
  comments: string[];
  lastEventId: string;
}

export interface ReferenceOptions {
  lastEventId?: string | undefined;
  maxEventBytes?: number | null | undefined;
  /** Whether comments are asked for. Those that nobody wants do not count against the limit. Default: true. */
  comments?: boolean | undefined;
}

const FIELDS = new Set(["data", "event", "id", "retry"]);
/** A line is counted from here on: only then has every decoder seen whether it is a field. */
const COUNTED = "event:".length + 1;

/** The standard's algorithm, written down as the standard words it, over a stream that is complete. Slow and obvious. */
export function decodeWhole(stream: Uint8Array, options: ReferenceOptions = {}): Outcome & { steps: Step[] } {
  const { lastEventId: initialLastEventId = "", comments: listens = true } = options;
  const limit = options.maxEventBytes ?? Infinity;
  const steps: Step[] = [];
  const markBytes = [0xef, 0xbb, 0xbf].every((byte, index) => stream[index] === byte) ? 3 : 0;
  // A character for each byte: lines end at the same places as in the text, and are as long as their bytes.
  const bytes = Buffer.from(stream.subarray(markBytes))
    .toString("latin1")
    .split(/(\r\n|\n|\r)/);
  const lines = new TextDecoder("utf-8").decode(stream).split(/\r\n|\n|\r/);
  let lastEventId = initialLastEventId;
  let data = "";
  let dataBytes = 0;
  let type = "";
  let id = initialLastEventId;
  let start = markBytes;
  for (const [index, line] of lines.entries()) {
    const lineBytes = bytes[2 * index]!;
    const end = start + lineBytes.length;
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    const room = Math.max(COUNTED, limit - dataBytes + 1);
    if ((FIELDS.has(name) || (colon === 0 && listens)) && lineBytes.length >= room) {
      steps.push({ at: start + room, kind: "too large" });
      break;
    }
    if (index === lines.length - 1) break; // not ended by a line end
    const at = end + 1;
    if (line === "") {
      lastEventId = id;
      steps.push({ at, kind: "id", lastEventId });
      if (data !== "") {
        const event = { type: type || "message", data: data.slice(0, -1), lastEventId: id };
        steps.push({ at, kind: "event", event });
      }
      data = "";
      dataBytes = 0;
      type = "";
    } else if (colon === 0) {
      if (listens) steps.push({ at, kind: "comment", text: value });
    } else if (name === "event") type = value;
    else if (name === "data") {
      data += `${value}\n`;
      dataBytes += lineBytes.replace(/^data:? ?/, "").length + 1;
      if (dataBytes > limit) {
        steps.push({ at, kind: "too large" });
        break;
      }
    } else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) {
      steps.push({ at, kind: "retry", milliseconds: Math.min(Number(value), Number.MAX_SAFE_INTEGER) });
    }
    start = end + bytes[2 * index + 1]!.length;
  }
  return {
    steps,
    events: steps.flatMap((step) => (step.kind === "event" ? step.event : [])),
    retries: steps.flatMap((step) => (step.kind === "retry" ? step.milliseconds : [])),
    comments: steps.flatMap((step) => (step.kind === "comment" ? step.text : [])),
    lastEventId,
  };
}
