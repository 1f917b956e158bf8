import { detached, toBytes, toText, UnfinishedLine } from "./bytes.ts";
import { EventTooLargeError } from "./errors.ts";
import {
  COLON,
  CR,
  DATA,
  EVENT,
  find,
  findInText,
  findLineEnd,
  hasNul,
  ID,
  isData,
  isEvent,
  isId,
  isLineEnd,
  isNamed,
  LF,
  RETRY,
  startsWith,
  valueOf,
  valueStart,
} from "./line.ts";

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

  /** The line that the last chunk left unfinished; empty while `skipping`. */
  const unfinished = new UnfinishedLine();
  /** The unfinished line is a comment nobody listens to or an unknown field: its bytes are dropped as they arrive. */
  let skipping = false;
  /** How many bytes of a byte order mark the stream began with; 3 as soon as the question is settled. */
  let markBytes = 0;
  /** The last byte was a CR, which has ended its line already. A LF that comes next belongs to it. */
  let afterCr = false;
  /** Half of a pair, from a string that was cut inside it. */
  let highSurrogate = "";
  /** No chunk yet had a character of several bytes: the place of a byte is that of its character. */
  let oneByteOnly = true;

  /** The data lines of the unfinished event: the early ones joined to blocks, so that each costs no more than its text. */
  let blocks: string[] = [];
  let lines: string[] = [];
  let dataBytes = 0;
  let type = "";
  /** Types that came before, with their lines. */
  const knownTypes: { line: Uint8Array; type: string }[] = [];
  // A lone surrogate becomes U+FFFD here, not at some later chunk that makes `detachHeld` run.
  let id = detached(options.lastEventId ?? "");
  let lastEventId = id;
  /** `id` or `lastEventId` may be a part of a chunk's text. */
  let idAttached = false;
  /** Text that what is held may keep alive. */
  let retained = 0;

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
    const { length } = chunk;
    let start = markBytes < 3 ? skipMark(chunk) : 0;
    if (start === length) return;
    if (afterCr) {
      afterCr = false;
      if (chunk[start] === LF) start++;
    }
    const small = length <= SMALL_CHUNK;
    if (length >= LARGE_CHUNK) {
      if (chunk.indexOf(LF) === -1 && chunk.indexOf(CR) === -1) return hold(chunk, start); // a piece of a long line
    } else if (!small && start === 0 && deliverWhole(chunk)) return;
    let text = "";
    // Cutting values from one text costs less than turning each into text, if the place of a byte is that of its character. A
    // small chunk that begins with data has one line, most probably.
    if (oneByteOnly && !small && (length >= LARGE_CHUNK || chunk[start] !== DATA[0])) {
      text = toText(chunk, 0, length);
      oneByteOnly = text.length === length;
      if (!oneByteOnly) text = "";
    }
    start = text.length > 0 ? readText(chunk, text, start) : readBytes(chunk, start);
    if (start === STOPPED) return;
    if (start < length) hold(chunk, start);
    retained += text.length;
    if (retained > MAX_RETAINED) detachHeld();
  }

  /**
   * Reads the lines of a chunk whose text is at hand: most of what is decoded comes this way. The fields that nearly every
   * event has are read in the loop itself, because each call would cost a tenth of a line.
   */
  function readText(chunk: Uint8Array, text: string, begin: number): number {
    const before = connection;
    const { length } = chunk;
    let start = begin;
    // The next of each. Each is searched for only when it has been passed, so no byte is looked at twice.
    let lf = -1;
    let cr = -1;
    while (start < length) {
      if (lf < start) lf = findInText(text, "\n", start);
      if (cr < start) cr = findInText(text, "\r", start);
      const end = lf < cr ? lf : cr;
      if (end === length) break;
      let next = end === cr ? skipLineEnd(chunk, end) : end + 1;
      if (skipping) skipping = false;
      else if (unfinished.length > 0) finishLine(chunk, start, end);
      else if (start === end) dispatch();
      else if (isData(chunk, start, end)) {
        const from = valueStart(chunk, start + DATA.length, end);
        const size = from < end ? end - from + 1 : 1;
        if (dataBytes + end - start > limit) checkLine(end - start);
        if (dataBytes + size > limit) throw new EventTooLargeError(limit);
        const value = from < end ? text.slice(from, end) : "";
        if (dataBytes === 0 && isLineEnd(chunk[next])) {
          // Most events are one line and the blank one after it: they pass through without being stored.
          next = chunk[next] === LF ? next + 1 : skipLineEnd(chunk, next);
          const event = { type: type.length === 0 ? "message" : type, data: value, lastEventId: id };
          lastEventId = id;
          if (type.length > 0) type = "";
          onEvent(event);
        } else {
          dataBytes += size;
          if (lines.push(value) === MAX_LINES) joinLines();
        }
      } else if (isId(chunk, start, end)) {
        if (dataBytes + end - start > limit) checkLine(end - start);
        const from = valueStart(chunk, start + ID.length, end);
        if (!hasNul(chunk, from, end)) {
          id = from < end ? text.slice(from, end) : "";
          idAttached = true;
        }
      } else if (isEvent(chunk, start, end)) {
        if (dataBytes + end - start > limit) checkLine(end - start);
        const from = valueStart(chunk, start + EVENT.length, end);
        type = from < end ? text.slice(from, end) : "";
      } else readLine(chunk, start, end, text);
      if (connection !== before) return STOPPED;
      start = next;
    }
    return start;
  }

  /** As `readText`, from the bytes. */
  function readBytes(chunk: Uint8Array, begin: number): number {
    const before = connection;
    const { length } = chunk;
    const small = length <= SMALL_CHUNK;
    let start = begin;
    let lf = -1;
    let cr = -1;
    while (start < length) {
      let end: number;
      if (small) end = findLineEnd(chunk, start);
      else {
        if (lf < start) lf = find(chunk, LF, start);
        if (cr < start) cr = find(chunk, CR, start);
        end = lf < cr ? lf : cr;
      }
      if (end === length) break;
      let next = chunk[end] === LF ? end + 1 : skipLineEnd(chunk, end);
      if (skipping) skipping = false;
      else if (unfinished.length > 0) finishLine(chunk, start, end);
      else if (start === end) dispatch();
      else if (chunk[start] === COLON && onComment === undefined) start = next;
      else if (isData(chunk, start, end)) {
        const held = dataBytes;
        const from = countData(chunk, start, end);
        const value = from < end ? toText(chunk, from, end) : "";
        if (held === 0 && isLineEnd(chunk[next])) {
          next = skipLineEnd(chunk, next);
          dataBytes = 0;
          deliver(value);
        } else if (lines.push(value) === MAX_LINES) joinLines();
      } else readLine(chunk, start, end, "");
      if (connection !== before) return STOPPED;
      start = next;
    }
    return start;
  }

  /**
   * Most chunks of a live stream are one event of one line. That it has no second is seen faster in the text of its value than
   * in the bytes. True when it was so.
   */
  function deliverWhole(chunk: Uint8Array): boolean {
    const end = chunk.length - 2;
    if (!isData(chunk, 0, end) || chunk[end] !== LF || chunk[end + 1] !== LF) return false;
    if (skipping || unfinished.length > 0 || dataBytes > 0 || end > limit) return false;
    const from = valueStart(chunk, DATA.length, end);
    const data = from < end ? toText(chunk, from, end) : "";
    if (data.includes("\n") || data.includes("\r")) return false;
    const event = { type: type.length === 0 ? "message" : type, data, lastEventId: id };
    lastEventId = id;
    if (type.length > 0) type = "";
    onEvent(event);
    return true;
  }

  /** The place after a line end, a CRLF taken as one. */
  function skipLineEnd(chunk: Uint8Array, end: number): number {
    if (chunk[end] !== CR) return end + 1;
    if (end + 1 === chunk.length) afterCr = true;
    return chunk[end + 1] === LF ? end + 2 : end + 1;
  }

  /** One leading byte order mark is dropped, wherever the chunks cut it. A second one is text. */
  function skipMark(chunk: Uint8Array): number {
    let start = 0;
    while (start < chunk.length && markBytes < 3) {
      if (chunk[start] !== BYTE_ORDER_MARK[markBytes]) {
        // The bytes taken so far were no mark. They need not come back: no field begins with them.
        skipping = markBytes > 0;
        markBytes = 3;
        break;
      }
      start++;
      markBytes++;
    }
    return start;
  }

  /** Keeps the beginning of a line that ends in a later chunk. */
  function hold(chunk: Uint8Array, start: number): void {
    if (skipping) return;
    let from = start;
    if (unfinished.length < LONGEST_NAME) {
      // Only the name at first: a long line that nobody wants is then dropped without being copied.
      from = Math.min(chunk.length, start + LONGEST_NAME);
      unfinished.append(chunk, start, from);
      if (!isOfUse(unfinished.head, unfinished.length)) {
        skipping = true;
        unfinished.clear();
        return;
      }
    }
    unfinished.append(chunk, from, chunk.length);
    checkLine(unfinished.length);
  }

  /** Whether a line that begins like this can still become a field, or a comment that somebody wants. */
  function isOfUse(line: Uint8Array, length: number): boolean {
    const first = line[0];
    if (first === COLON) return onComment !== undefined;
    const name = NAMES.find((each) => each[0] === first);
    if (name === undefined) return false;
    for (let at = 1; at < length && at <= name.length; at++) {
      if (line[at] !== (at < name.length ? name[at] : COLON)) return false;
    }
    return true;
  }

  function finishLine(chunk: Uint8Array, start: number, end: number): void {
    unfinished.append(chunk, start, end);
    const { head, length } = unfinished;
    const text = unfinished.finish();
    unfinished.clear();
    readLine(head, 0, length, text);
  }

  /** Whatever the line, it is held while it is read. Shorter ones are not worth a difference between cuts. */
  function checkLine(bytes: number): void {
    if (bytes > LONGEST_NAME && dataBytes + bytes > limit) throw new EventTooLargeError(limit);
  }

  /** Counts a data line, and answers where its value begins. */
  function countData(bytes: Uint8Array, start: number, end: number): number {
    checkLine(end - start);
    const from = valueStart(bytes, start + DATA.length, end);
    dataBytes += from < end ? end - from + 1 : 1;
    if (dataBytes > limit) throw new EventTooLargeError(limit);
    return from;
  }

  /** Any line but the blank one (WHATWG HTML 9.2.6, "process the field"). */
  function readLine(bytes: Uint8Array, start: number, end: number, text: string): void {
    const first = bytes[start];
    if (first === DATA[0]) {
      if (!isData(bytes, start, end)) return;
      countData(bytes, start, end);
      if (lines.push(valueOf(bytes, start + DATA.length, end, text)) === MAX_LINES) joinLines();
    } else if (first === ID[0]) {
      if (!isId(bytes, start, end)) return;
      checkLine(end - start);
      const value = valueOf(bytes, start + ID.length, end, text);
      if (end <= bytes.length ? hasNul(bytes, start + ID.length, end) : value.includes("\0")) return;
      id = value;
      idAttached = true;
    } else if (first === EVENT[0]) {
      if (!isEvent(bytes, start, end)) return;
      checkLine(end - start);
      type = text.length === 0 ? typeOf(bytes, start, end) : valueOf(bytes, start + EVENT.length, end, text);
    } else if (first === COLON) {
      if (onComment === undefined) return;
      checkLine(end - start);
      onComment(valueOf(bytes, start, end, text));
    } else if (isNamed(RETRY, bytes, start, end)) {
      checkLine(end - start);
      const value = valueOf(bytes, start + RETRY.length, end, text);
      if (ASCII_DIGITS.test(value)) onRetry?.(Math.min(Number(value), Number.MAX_SAFE_INTEGER));
    }
  }

  /** The same few types come again and again: comparing bytes costs less than making text of them. */
  function typeOf(bytes: Uint8Array, start: number, end: number): string {
    for (let at = 0; at < knownTypes.length; at++) {
      const { line, type: known } = knownTypes[at]!;
      if (line.length === end - start && startsWith(line, bytes, start)) return known;
    }
    const known = { line: bytes.slice(start, end), type: valueOf(bytes, start + EVENT.length, end, "") };
    if (knownTypes.length < MAX_KNOWN_TYPES && end - start <= MAX_KNOWN_TYPE) knownTypes.push(known);
    return known.type;
  }

  /** The blank line (WHATWG HTML 9.2.6, "dispatch the event"). */
  function dispatch(): void {
    if (dataBytes > 0) {
      const data = takeData();
      deliver(data);
    } else {
      lastEventId = id;
      type = "";
    }
  }

  function deliver(data: string): void {
    // Asking for the length, because a comparison would make the engine put the substring together.
    const event = { type: type.length === 0 ? "message" : type, data, lastEventId: id };
    lastEventId = id;
    if (type.length > 0) type = "";
    onEvent(event);
  }

  /** The data of the event that a blank line completes; nothing is held afterwards. */
  function takeData(): string {
    if (lines.length === 1 && blocks.length === 0) {
      // Most events have one line. Taking it out keeps the array for the next event.
      dataBytes = 0;
      return lines.pop()!;
    }
    const data = (blocks.length > 0 ? [...blocks, ...lines] : lines).join("\n");
    dropData();
    return data;
  }

  function dropData(): void {
    lines = [];
    if (blocks.length > 0) blocks = [];
    dataBytes = 0;
  }

  /** Makes one text, in memory of its own, of the lines. */
  function joinLines(): void {
    blocks.push(lines.length > 1 ? lines.join("\n") : detached(lines[0]!));
    lines = [];
  }

  /** Makes what is held independent of the chunks' text that it was cut from. */
  function detachHeld(): void {
    retained = 0;
    if (lines.length > 0) joinLines();
    if (type !== "") type = detached(type);
    if (!idAttached) return;
    const settled = id === lastEventId;
    id = detached(id);
    lastEventId = settled ? id : detached(lastEventId);
    idAttached = false;
  }

  /** Drops the unfinished event. */
  function forget(): void {
    unfinished.clear();
    skipping = false;
    markBytes = 0;
    afterCr = false;
    highSurrogate = "";
    dropData();
    type = "";
    id = lastEventId;
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
   * How many bytes of one event may be held: its data lines so far (value and line end) plus the line that is being read.
   * Nothing else that is held grows with the input, but for the `event` and `id` values, a line each. The bound falls on the
   * same byte wherever the stream is cut, inside one chunk too. Default: {@link DEFAULT_MAX_EVENT_BYTES}; `null`: no limit.
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

/** An event as a client sees it (WHATWG HTML 9.2.6, "dispatch the event"). */
export interface ServerSentEvent {
  /** The `event` field, or `"message"` when there is none or an empty one. */
  type: string;
  /** The `data` lines, joined by LF. */
  data: string;
  /** The id that a reconnect would send as `Last-Event-ID`: of this event, or the last one before it that had one. */
  lastEventId: string;
}

/** 128 MiB. Large enough for any event that makes sense, small enough to survive one that does not. */
export const DEFAULT_MAX_EVENT_BYTES = 128 * 1024 * 1024;

function byteLimit(maxEventBytes: number | null | undefined): number {
  if (maxEventBytes === null) return Infinity;
  const limit = maxEventBytes ?? DEFAULT_MAX_EVENT_BYTES;
  if (Number.isSafeInteger(limit) && limit > 0) return limit;
  throw new TypeError(`maxEventBytes must be a positive integer, or null for no limit; got ${String(limit)}`);
}

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
const ASCII_DIGITS = /^[0-9]+$/;

/** No two begin with the same byte. */
const NAMES = [DATA, EVENT, ID, RETRY];
/** With fewer bytes than this it is not yet known of every line whether it is of use. */
const LONGEST_NAME = "event:".length;
/** How many types are remembered, and how long their lines may be. */
const MAX_KNOWN_TYPES = 8;
const MAX_KNOWN_TYPE = 64;
/** Text of chunks that may be kept alive by the parts of it that are held. */
const MAX_RETAINED = 16 * 1024;
/** Up to here a loop over the bytes costs less than calls that search them. */
const SMALL_CHUNK = 24;
/** From here on a chunk is turned into text as a whole, and its values are cut from that. */
const LARGE_CHUNK = 1024;
/** Instead of a place in the chunk: a callback has reset the decoder. */
const STOPPED = -1;
/** Lines of an unfinished event that are held one by one. */
const MAX_LINES = 1024;
