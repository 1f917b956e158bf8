import { asComments } from "../control-events.ts";
import type { Page } from "../log/event-log.ts";
import type { StoredEvent } from "../log/stored-event.ts";

/**
 * How events are written for a stream that does not want them as the log keeps them: in envelopes, with control events as
 * comments, or both. It is a part of what makes a cohort; plain cohorts have none, and are not slowed down by it.
 */
export class Encoding {
  /** Begins the key of a cohort: with a space, as no selector does. */
  readonly key: string;
  readonly #envelope: boolean;
  readonly #comments: boolean;
  /** The last event that was encoded: the router hands each one to all cohorts before the next. */
  #last: { readonly entry: StoredEvent; readonly encoded: StoredEvent } | null = null;
  #bytes = 0;

  constructor(envelope: boolean, comments: boolean) {
    this.key = ` ${envelope}-${comments} `;
    this.#envelope = envelope;
    this.#comments = comments;
  }

  /** The event as streams get it, made once for all cohorts that are handed it one after the other. */
  encode(entry: StoredEvent): StoredEvent {
    if (this.#last?.entry !== entry) {
      this.#last = { entry, encoded: this.#encode(entry) };
      this.#bytes += this.#last.encoded.bytes;
    }
    return this.#last.encoded;
  }

  /** What {@link encode} has made since this was asked last, in bytes: megabytes of text to escape take milliseconds. */
  takeBytes(): number {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return bytes;
  }

  /** Lets go of the last event. */
  forget(): void {
    this.#last = null;
  }

  /** A page as streams get it. An envelope takes more bytes than the log counts: what does not fit is left for the next page. */
  encodePage(page: Page, maxBytes: number): Page {
    const entries: StoredEvent[] = [];
    let left = maxBytes;
    for (const entry of page.entries) {
      const encoded = this.#encode(entry);
      if (entries.length > 0 && encoded.bytes > left) {
        const superseded = page.superseded && [...page.superseded.slice(0, entries.length), 0];
        return {
          from: page.from,
          entries,
          ...(superseded && { superseded }),
          cursor: entries[entries.length - 1]!.seq,
        };
      }
      left -= encoded.bytes;
      entries.push(encoded);
    }
    return { ...page, entries };
  }

  /** Control events, one or more, as streams get them. */
  encodeControl(text: string): string {
    return this.#comments ? asComments(text) : text;
  }

  #encode(entry: StoredEvent): StoredEvent {
    if (!(entry.end ? this.#comments : this.#envelope)) return entry;
    const wire = entry.end ? asComments(entry.wire) : inEnvelope(entry);
    return { ...entry, wire, bytes: Buffer.byteLength(wire) };
  }
}

const encoder = new TextEncoder();

/** The bytes of control events. */
export function controlBytes(encoding: Encoding | null, text: string): Uint8Array {
  return encoder.encode(encoding === null ? text : encoding.encodeControl(text));
}

/** The event with its topic, its key and its data in one JSON object. Made of the wire form: a log need not keep data twice. */
function inEnvelope({ wire, topic, key, json }: StoredEvent): string {
  const start = wire.startsWith("event: ") ? wire.indexOf("\n") + 1 : 0;
  const end = wire.lastIndexOf("\nid: ");
  const lines = wire.slice(start + "data: ".length, end);
  // In JSON from elsewhere line ends are white space, and stay lines of their own. Text is what the lines are to a client.
  const data = json ? lines : JSON.stringify(lines.replaceAll("\ndata: ", "\n").toWellFormed());
  const about = key === "" ? "" : `"key":${JSON.stringify(key)},`;
  return `${wire.slice(0, start)}data: {"topic":${JSON.stringify(topic)},${about}"data":${data}}${wire.slice(end)}`;
}
