export { createDecoder, DEFAULT_MAX_EVENT_BYTES } from "./decode.ts";
export type { Decoder, DecoderOptions, ServerSentEvent } from "./decode.ts";
export { CONTENT_TYPE, encodeComment, encodeEvent } from "./encode.ts";
export type { EncodableEvent } from "./encode.ts";
export { EventTooLargeError } from "./errors.ts";
export { DecoderStream, decodeEvents } from "./stream.ts";
export type { StreamDecoderOptions } from "./stream.ts";
export type {
  DataFor,
  DataFrom,
  Envelope,
  EnvelopeFrom,
  SelectedBy,
  SelectorFor,
  TopicMap,
  TopicOf,
} from "./topic-map.ts";
