import { HubError } from "../errors.ts";
import { endId, type NewEvent } from "../log/new-event.ts";
import { parseTopic } from "../topics/topic.ts";

/** What a publisher hands in. */
export interface Message<Data = unknown> {
  /** A string goes as it is, any other JSON value as its JSON text. May be left out only with `end`. */
  data?: Data;
  /** The event's type (`event:`); default: none, which clients read as `message`. `sse:` is reserved for the hub. */
  event?: string;
  /** What the event is about, within its topic: `lag=latest` keeps the newest event of each key. */
  key?: string;
  /**
   * The publisher's own id. The same id again for the same topic, while the log holds the event, publishes nothing and
   * answers as before.
   */
  id?: string;
  /** True: the topic ends with this message. Its streams are told, and close once all their topics have ended. */
  end?: boolean;
}

/**
 * The one door for events: one event, plus the one that ends the topic when the message asks for it.
 *
 * @param maxEventBytes the most UTF-8 bytes of data, as it goes over the wire
 * @param events what to add them to
 * @throws HubError `bad-topic`, `bad-event` or `too-large`, naming the field
 */
export function parseMessage(
  topicText: unknown,
  message: Message,
  maxEventBytes: number,
  events: NewEvent[] = [],
): NewEvent[] {
  const topic = parseTopic(topicText);
  const type = name("event", message.event);
  if (type.trimStart().startsWith("sse:")) {
    // Decoders in wide use trim values.
    throw new HubError(
      "bad-event",
      `event ${JSON.stringify(type)}: types that begin with "sse:" are the hub's own`,
    );
  }
  const key = name("key", message.key);
  const idempotencyKey = name("id", message.id);
  if (message.end !== undefined && typeof message.end !== "boolean") {
    throw new HubError("bad-event", "end must be true or false");
  }
  const end = message.end === true;
  if (message.data !== undefined || !end) {
    const data = dataText(message.data);
    if (data.length * MOST_BYTES > maxEventBytes && isOver(data, maxEventBytes)) {
      throw new HubError(
        "too-large",
        `data is over the limit of ${maxEventBytes} bytes, of which each line after the first takes ${LINE_BYTES}; send a reference instead`,
      );
    }
    const json = typeof message.data !== "string";
    events.push({ topic, type, data, json, key, idempotencyKey, end: false });
  }
  if (end) {
    // The end is no repetition of the event before it.
    const id = idempotencyKey === "" ? "" : endId(idempotencyKey);
    events.push({ topic, type: "", data: "", json: false, key: "", idempotencyKey: id, end: true });
  }
  return events;
}

/** The error of one of several messages, which says of which. */
export function inEvent(index: number, error: unknown): unknown {
  if (!(error instanceof HubError)) return error;
  return new HubError(error.code, `event ${index}: ${error.message}`);
}

function name(field: "event" | "key" | "id", value: unknown): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw new HubError("bad-event", `${field} must be a string`);
  if (BREAKS.test(value)) throw new HubError("bad-event", `${field} must not hold CR, LF or NUL`);
  if (!value.isWellFormed()) throw new HubError("bad-event", `${field} must not hold half a surrogate pair`);
  if (value.length > MAX_NAME_BYTES || Buffer.byteLength(value) > MAX_NAME_BYTES) {
    throw new HubError("bad-event", `${field} is longer than ${MAX_NAME_BYTES} bytes`);
  }
  return value;
}

function dataText(data: unknown): string {
  if (typeof data === "string") return data;
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (error) {
    throw new HubError("bad-event", `data cannot be written as JSON: ${String(error)}`);
  }
  if (text === undefined) throw new HubError("bad-event", "data is missing; give a string or a JSON value");
  return text;
}

/** The most bytes of UTF-8 in a type, a key or a publisher's id. */
const MAX_NAME_BYTES = 1024;
const BREAKS = /[\r\n\0]/;

/** What a line costs on the wire besides its text: `data: ` and the line end. */
const LINE_BYTES = 7;

/** The most bytes that a character of a text can take on the wire: a line end, and the line that it begins. */
const MOST_BYTES = 1 + LINE_BYTES;

/** A megabyte of line ends must not become seven on the wire. */
function isOver(data: string, maxBytes: number): boolean {
  let left = maxBytes - Buffer.byteLength(data);
  for (const lineEnd of ["\n", "\r"]) {
    // No longer than it takes to know: the data may be four megabytes of them.
    for (let at = data.indexOf(lineEnd); at !== -1 && left >= 0; at = data.indexOf(lineEnd, at + 1)) {
      left -= LINE_BYTES;
    }
  }
  return left < 0;
}
