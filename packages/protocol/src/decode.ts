import { ByteBuffer, detached, toBytes } from "./bytes.ts";
import { EventTooLargeError } from "./errors.ts";
import { LineBuffer } from "./lines.ts";

/** An event as a client sees it (WHATWG HTML 9.2.6, "dispatch the event"). */
export interface ServerSentEvent {
  /** The `event` field, or `"message"` when there is none or an empty one. */
  type: string;
  /** The `data` lines, joined by LF. */
  data: string;
  /** The id that a reconnect would send as `Last-Event-ID`: of this event, or the last one before it that had one. */
  lastEventId: string;
}

/** What a decoder is told. `undefined` stands for the default everywhere. */
export interface DecoderOptions {
  /** Called once per event, in stream order, before `feed` returns. */
  onEvent: (event: ServerSentEvent) => void;
  /**
   * Called with the reconnection time in milliseconds as soon as a valid `retry` line has ended, with or without an event.
   * The standard sets no upper bound: anything above `Number.MAX_SAFE_INTEGER` is reported as that, and a timer needs a lower
   * cap still. Default: none.
   */
  onRetry?: ((milliseconds: number) => void) | undefined;
  /** Called with the text of each comment line, less one leading space. Without it, comments cost no memory. Default: none. */
  onComment?: ((text: string) => void) | undefined;
  /** The last event id of an earlier connection. Default: `""`, none. */
  lastEventId?: string | undefined;
  /**
   * How many bytes of one event may be held: its data lines so far (value and line end) plus the unfinished line. Nothing else
   * that is held grows with the input, but for the `event` and `id` values, a line each. The bound holds inside one chunk as it
   * does over many. Default: {@link DEFAULT_MAX_EVENT_BYTES}; `null`: no limit.
   */
  maxEventBytes?: number | null | undefined;
}

/** A decoder for one stream at a time. See {@link createDecoder}. */
export interface Decoder {
  /**
   * Takes the next piece of the stream, cut anywhere, also inside a character or a CRLF. Bytes are not kept and not changed: the
   * caller may reuse the array. Strings may be cut inside a surrogate pair.
   *
   * @throws {EventTooLargeError} when `maxEventBytes` is exceeded. The events completed before that have been delivered.
   * @throws whatever a callback throws. After any failure the rest of the chunk is lost, and `feed` throws the same error until
   *   `reset()`: going on would join the halves of two events.
   */
  feed(chunk: Uint8Array | string): void;
  /**
   * Makes ready for a new connection: forgets the unfinished event and a failure, allows a byte order mark again, and keeps
   * {@link Decoder.lastEventId}. When a callback calls it, the rest of the chunk at hand is dropped.
   */
  reset(): void;
  /** What `Last-Event-ID` carries on a reconnect; `""` means no header (WHATWG HTML 9.2.4). */
  readonly lastEventId: string;
}

/** 128 MiB. Large enough for any event that makes sense, small enough to survive one that does not. */
export const DEFAULT_MAX_EVENT_BYTES = 128 * 1024 * 1024;

/** Text that may be kept alive by the parts of it that an unfinished event or an id refers to. */
const MAX_RETAINED_TEXT = 64 * 1024;
/** Lines of an unfinished event that are held as strings before they are packed into bytes. */
const MAX_LINES_HELD = 1024;

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const ASCII_DIGITS = /^[0-9]+$/;

/**
 * Creates a decoder for `text/event-stream`, to the letter of WHATWG HTML 9.2.5 and 9.2.6: an event is delivered as soon as the
 * byte that completes it is fed, and never before; the outcome does not depend on how the stream is cut; time is linear in
 * the input. An event that the end of the stream cuts short is never delivered.
 *
 * @throws {TypeError} when `maxEventBytes` is neither `null` nor a positive safe integer.
 */
export function createDecoder(options: DecoderOptions): Decoder {
  const { onEvent, onRetry, onComment } = options;
  const limit = byteLimit(options.maxEventBytes);

  const unfinishedLine = new LineBuffer(onComment !== undefined);
  /** The data lines of the unfinished event: the early ones as bytes, each with a LF; the late ones as strings. */
  const packedLines = new ByteBuffer();
  let data = "";
  let lines: string[] = [];
  let lineCount = 0;
  /** Bytes of the data lines held; of `lines`, the first `linesCounted` are included. */
  let dataBytes = 0;
  let linesCounted = 0;
  let type = "";
  let id = options.lastEventId ?? "";
  let lastEventId = id;
  let detachedId = id;
  let retainedText = 0;
  let highSurrogate = "";
  let failure: { error: unknown } | undefined;
  /** Counts resets, so that one made by a callback stops the work on the old stream. */
  let connection = 0;

  function feed(chunk: Uint8Array | string): void {
    if (failure !== undefined) throw failure.error;
    const before = connection;
    try {
      if (typeof chunk === "string") feedBytes(encodeText(chunk));
      else {
        if (highSurrogate.length > 0) feedBytes(encodeText("", true));
        feedBytes(chunk);
      }
    } catch (error) {
      if (connection === before) {
        forget();
        failure = { error };
      }
      throw error;
    }
  }

  /** A surrogate pair that the caller cut in two has to be whole when it is encoded. */
  function encodeText(chunk: string, atEnd = false): Uint8Array {
    const text = highSurrogate + chunk;
    const last = text.charCodeAt(text.length - 1);
    const cut = !atEnd && last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
    highSurrogate = text.slice(cut);
    return toBytes(text.slice(0, cut));
  }

  function feedBytes(chunk: Uint8Array): void {
    const before = connection;
    // No byte makes what is held grow by more than itself. So a piece that fits needs no check on the way, and pieces that
    // fit find the very byte that does not, however the stream is cut.
    for (let start = 0; start < chunk.length;) {
      const room = Math.max(1, limit - unfinishedLine.length - dataBytes);
      const piece = start === 0 && chunk.length <= room ? chunk : chunk.subarray(start, start + room);
      start += piece.length;
      const text = unfinishedLine.push(piece);
      if (text.length > 0) parse(text);
      if (connection !== before) return;
      if (unfinishedLine.length + dataBytes > limit) throw new EventTooLargeError(limit);
    }
  }

  /** Whole lines, each with its line end: CRLF, LF, or CR. */
  function parse(text: string): void {
    const before = connection;
    const length = text.length;
    const oneBytePerUnit = length === unfinishedLine.textBytes;
    const searched = oneBytePerUnit ? unfinishedLine.carriedBytes : 0;
    // The next LF and the next CR. Each is searched for only when it has been passed, so no character is looked at twice.
    let lf = find(text, "\n", searched);
    let cr = find(text, "\r", searched);
    for (let start = 0; start < length;) {
      if (lf < start) lf = text.charCodeAt(start) === LF ? start : find(text, "\n", start);
      let end = lf;
      let next = lf + 1;
      if (cr < lf) {
        end = cr;
        if (lf > cr + 1) next = cr + 1;
        cr = text.charCodeAt(next) === CR ? next : find(text, "\r", next);
      }
      if (start === end) {
        dispatch();
      } else if (isData(text, start) && endsName(text, start + 4, end)) {
        const line = valueOf(text, start + 4, end);
        if (lineCount === 0 && dataBytes === 0 && text.charCodeAt(next) === LF) {
          // Most events are one line and the blank one after it: they pass through without being stored.
          next++;
          deliver(line);
        } else hold(line);
      } else {
        field(text, start, end);
      }
      if (connection !== before) return;
      start = next;
    }
    if (lineCount > 0) countHeldLines(oneBytePerUnit);
    retainedText += length;
    if (retainedText > MAX_RETAINED_TEXT || lineCount > MAX_LINES_HELD) detachHeld();
  }

  /** Any line but `data` and the blank one (WHATWG HTML 9.2.6, "process the field"). */
  function field(text: string, start: number, end: number): void {
    if (text.charCodeAt(start) === COLON) {
      onComment?.(valueOf(text, start, end));
    } else if (isEvent(text, start) && endsName(text, start + 5, end)) {
      type = valueOf(text, start + 5, end);
    } else if (isId(text, start) && endsName(text, start + 2, end)) {
      if (!hasNul(text, start + 2, end)) id = valueOf(text, start + 2, end);
    } else if (isRetry(text, start) && endsName(text, start + 5, end)) {
      const value = valueOf(text, start + 5, end);
      if (ASCII_DIGITS.test(value)) onRetry?.(Math.min(Number(value), Number.MAX_SAFE_INTEGER));
    }
  }

  /** The blank line that ends an event. */
  function dispatch(): void {
    if (lineCount > 0 || dataBytes > 0) {
      deliver(takeData());
    } else {
      lastEventId = id;
      type = "";
    }
  }

  function deliver(text: string): void {
    // Asking for the length, because a comparison would make the engine put the substring together.
    const event = { type: type.length === 0 ? "message" : type, data: text, lastEventId: id };
    lastEventId = id;
    type = "";
    onEvent(event);
  }

  function hold(line: string): void {
    // An array only for the second line and those after it: most events that are held have one.
    if (lineCount === 0) data = line;
    else if (lineCount === 1) lines = [data, line];
    else lines.push(line);
    lineCount++;
  }

  /** The data of the event that a blank line completes; nothing is held afterwards. */
  function takeData(): string {
    let text = heldLines();
    if (packedLines.length > 0) {
      const packed = packedLines.take();
      text = lineCount > 0 ? packed + text : packed.slice(0, -1);
    }
    dropLines();
    dataBytes = 0;
    return text;
  }

  function heldLines(): string {
    return lineCount > 1 ? lines.join("\n") : data;
  }

  function dropLines(): void {
    if (lineCount > 1) lines = [];
    data = "";
    lineCount = 0;
    linesCounted = 0;
  }

  function countHeldLines(oneBytePerUnit: boolean): void {
    for (; linesCounted < lineCount; linesCounted++) {
      const line = lineCount > 1 ? (lines[linesCounted] as string) : data;
      dataBytes += (oneBytePerUnit ? line.length : byteLength(line)) + 1;
    }
  }

  /** Makes what is held independent of the text it was cut from, at a cost in proportion to that text. */
  function detachHeld(): void {
    if (lineCount > 0) {
      const bytes = toBytes(`${heldLines()}\n`);
      packedLines.append(bytes, 0, bytes.length);
      dropLines();
    }
    type = detached(type);
    const settled = id === lastEventId;
    if (id !== detachedId) id = detachedId = detached(id);
    lastEventId = settled ? id : detached(lastEventId);
    retainedText = 0;
  }

  /** Drops the unfinished event. */
  function forget(): void {
    unfinishedLine.clear();
    packedLines.clear();
    dropLines();
    dataBytes = 0;
    type = "";
    id = lastEventId;
    highSurrogate = "";
  }

  return {
    feed,
    reset() {
      forget();
      failure = undefined;
      connection++;
    },
    get lastEventId() {
      return lastEventId;
    },
  };
}

/** The position of `lineEnd` at or after `start`, or the length of the text. */
function find(text: string, lineEnd: string, start: number): number {
  const position = text.indexOf(lineEnd, start);
  return position === -1 ? text.length : position;
}

// Spelled out, because String.prototype.startsWith costs JavaScriptCore 20 ns a call, as much as the rest of a short line.

function isData(text: string, at: number): boolean {
  return (
    code(text, at) === 0x64 &&
    code(text, at + 1) === 0x61 &&
    code(text, at + 2) === 0x74 &&
    code(text, at + 3) === 0x61
  );
}

function isEvent(text: string, at: number): boolean {
  return (
    code(text, at) === 0x65 &&
    code(text, at + 1) === 0x76 &&
    code(text, at + 2) === 0x65 &&
    code(text, at + 3) === 0x6e &&
    code(text, at + 4) === 0x74
  );
}

function isId(text: string, at: number): boolean {
  return code(text, at) === 0x69 && code(text, at + 1) === 0x64;
}

function isRetry(text: string, at: number): boolean {
  return (
    code(text, at) === 0x72 &&
    code(text, at + 1) === 0x65 &&
    code(text, at + 2) === 0x74 &&
    code(text, at + 3) === 0x72 &&
    code(text, at + 4) === 0x79
  );
}

function code(text: string, at: number): number {
  return text.charCodeAt(at);
}

/** A name has to be the whole line, or end at its first colon. */
function endsName(text: string, after: number, end: number): boolean {
  return after === end || text.charCodeAt(after) === COLON;
}

function hasNul(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) if (text.charCodeAt(index) === 0) return true;
  return false;
}

/** What follows the colon at `colon`, less one space; "" when the line ended before it. */
function valueOf(text: string, colon: number, end: number): string {
  const start = text.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1;
  return start < end ? text.substring(start, end) : "";
}

/**
 * Bytes of UTF-8. U+FFFD counts as one: it mostly stands for one malformed byte, and must never count for more than the bytes it
 * came from, or a limit would depend on how the stream is cut.
 */
function byteLength(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80 || unit === 0xfffd) continue;
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}

function byteLimit(maxEventBytes: number | null | undefined): number {
  if (maxEventBytes === null) return Infinity;
  const limit = maxEventBytes ?? DEFAULT_MAX_EVENT_BYTES;
  if (Number.isSafeInteger(limit) && limit > 0) return limit;
  throw new TypeError(`maxEventBytes must be a positive integer, or null for no limit; got ${String(limit)}`);
}
