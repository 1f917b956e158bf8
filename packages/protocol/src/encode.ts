/**
 * Encodes one event with the blank line that ends it (WHATWG HTML 9.2.5). Fields left out are not written; an event without
 * `data` is legal, and sets the id or the reconnection time without an event at the client.
 *
 * `id` is the last field: clients in wide use store an id as soon as its line is read, and would resume after an event whose data
 * a dropped connection has cut off.
 *
 * @throws {TypeError} naming the field, when `event` or `id` has a CR, LF or NUL, when `retry` is not a non-negative safe integer,
 *   or when a field has the wrong type. A line end would let its author write fields and events of their own; clients ignore the
 *   other values without a word.
 */
export function encodeEvent(message: EncodableEvent): string {
  const { data, event, id, retry } = message;
  let text = "";
  if (event != null && event !== "") text = `event: ${singleLine("event", event)}\n`;
  if (retry != null) text += `retry: ${milliseconds(retry)}\n`;
  const end = id == null ? "\n" : `id: ${typeof id === "number" ? finite(id) : singleLine("id", id)}\n\n`;
  return data == null ? text + end : `${text}data: ${prefixedLines("data", data, "\ndata: ")}\n${end}`;
}

/** An event to be written. Every field may be left out; `null` and `undefined` both mean that it is. */
export interface EncodableEvent {
  /** The payload, any text. CRLF, CR and LF all arrive as LF; a lone surrogate arrives as U+FFFD. Without it nothing is dispatched. */
  data?: string | null | undefined;
  /** The type that a client listens for. `""` and none mean `"message"`. No CR, LF or NUL. */
  event?: string | null | undefined;
  /** What the client sends back as `Last-Event-ID`. `""` makes it forget the last one. No CR, LF or NUL; no `NaN` or infinity. */
  id?: string | number | null | undefined;
  /** The reconnection time in milliseconds: a non-negative safe integer. */
  retry?: number | null | undefined;
}

/**
 * Encodes a comment, one line for each line of `text`; clients ignore it. With no text it is the shortest one, `":\n"`, as
 * a heartbeat (WHATWG HTML 9.2.7 advises one about every 15 seconds).
 *
 * It ends with one line end and no blank line: so it may stand between two events, and does not end an event that is half written.
 *
 * @throws {TypeError} when `text` is not a string.
 */
export function encodeComment(text = ""): string {
  return text === "" ? ":\n" : `: ${prefixedLines("comment", text, "\n: ")}\n`;
}

/** The media type of a stream (WHATWG HTML 9.2.5). It needs no `charset`: a stream is always UTF-8. */
export const CONTENT_TYPE = "text/event-stream";

function prefixedLines(field: string, text: string, separator: string): string {
  requireString(field, text);
  // Most payloads are one line of JSON: two native searches are all they cost.
  if (text.includes("\r")) return text.replace(LINE_END, separator);
  return text.includes("\n") ? text.replaceAll("\n", separator) : text;
}

function singleLine(field: string, text: string): string {
  requireString(field, text);
  // Types and ids are short: a loop costs less than a regular expression.
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit <= 0x0d && (unit === 0x0a || unit === 0x0d || unit === 0)) {
      throw new TypeError(`${field} must not contain CR, LF or NUL; got ${JSON.stringify(text)}`);
    }
  }
  return text;
}

function requireString(field: string, value: unknown): void {
  if (typeof value !== "string") throw new TypeError(`${field} must be a string; got ${typeof value}`);
}

function finite(id: number): number {
  if (Number.isFinite(id)) return id;
  throw new TypeError(`id must be a string or a finite number; got ${id}`);
}

function milliseconds(retry: number): number {
  if (Number.isSafeInteger(retry) && retry >= 0) return retry;
  throw new TypeError(`retry must be a non-negative safe integer (milliseconds); got ${String(retry)}`);
}

const LINE_END = /\r\n?|\n/g;
