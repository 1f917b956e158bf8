import { createDecoder, encodeEvent } from "@sse/protocol";
import { encode } from "eventsource-encoder";
import { createParser } from "eventsource-parser";
import type { Message } from "./fixtures.ts";

/** What every decoder can tell of an event. */
export interface SeenEvent {
  type: string;
  data: string;
}

/** Decodes a whole stream, with a decoder made for it. */
export type Decode = (chunks: readonly Uint8Array[], onEvent: (event: SeenEvent) => void) => void;

/** Encodes one event; the text is complete, but engines may not have put it together yet. */
export type Encode = (message: Message) => string;

/** What is compared. The first of each is ours. */
export const decoders: Record<string, Decode> = {
  "@sse/protocol": (chunks, onEvent) => {
    const decoder = createDecoder({ onEvent });
    for (const chunk of chunks) decoder.feed(chunk);
  },
  // It takes text, so turning bytes into text is part of its work, in the way its manual shows.
  "eventsource-parser": (chunks, onEvent) => {
    const text = new TextDecoder();
    const parser = createParser({
      onEvent: (event) => onEvent({ type: event.event ?? "message", data: event.data }),
    });
    for (const chunk of chunks) parser.feed(text.decode(chunk, { stream: true }));
  },
};

export const encoders: Record<string, Encode> = {
  "@sse/protocol": encodeEvent,
  "eventsource-encoder": encode,
};
