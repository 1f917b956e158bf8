import { createDecoder, type Decoder } from "@sse/protocol";
import { readPayload } from "./payload.ts";
import type { Found } from "./scanner.ts";

export interface SampleFound extends Found {
  /** The id is not greater than the last one. */
  idOutOfOrder(): void;
  /** Any event, of the bench or not. */
  event(): void;
}

/** In place of the scanner in a sample of the streams: decodes every event, and checks its content and its id. */
export class SampledReader {
  readonly #decoder: Decoder;
  readonly #mark: string;
  readonly #found: SampleFound;
  #lastId = "";

  constructor(mark: string, found: SampleFound) {
    this.#mark = mark;
    this.#found = found;
    this.#decoder = createDecoder({ onEvent: ({ data, lastEventId }) => this.#event(data, lastEventId) });
  }

  /** What a reconnect sends as `Last-Event-ID`. */
  get cursor(): string {
    return this.#decoder.lastEventId;
  }

  scan(bytes: Buffer, start: number, end: number): void {
    this.#decoder.feed(bytes.subarray(start, end));
  }

  reset(): void {
    this.#decoder.reset();
  }

  /** Servers may put the payload into something, as a field of a JSON object: it is looked for, as the scanner does. */
  #event(data: string, id: string): void {
    this.#found.event();
    const at = this.#mark === "" ? -1 : data.indexOf(this.#mark);
    if (at === -1) return;
    const payload = readPayload(data, at);
    if (payload === null) return this.#found.corrupt();
    if (id !== this.#lastId && !ascends(this.#lastId, id)) this.#found.idOutOfOrder();
    this.#lastId = id;
    this.#found.record(payload.channel, payload.number, payload.intended);
  }
}

const NUMBERED = /^(.*?)([0-9]{1,15})$/s;

/**
 * Whether an id comes after another. Ids are opaque, but where both end in a number after the same text (`epoch-41`, `epoch-42`),
 * the number has to grow; nothing can be said of others.
 */
export function ascends(before: string, after: string): boolean {
  const [, prefix, number] = NUMBERED.exec(before) ?? [];
  const [, nextPrefix, nextNumber] = NUMBERED.exec(after) ?? [];
  if (prefix === undefined || prefix !== nextPrefix) return true;
  return Number(nextNumber) > Number(number);
}
