export { type Clock, systemClock } from "./clock.ts";
export { firstUncovered } from "./topics/coverage.ts";
export {
  asComments,
  type CloseReason,
  type ClosingReason,
  type GapReason,
  type Resume,
} from "./control-events.ts";
export { type EventId, parseEventId } from "./log/event-id.ts";
export { directStream } from "./sinks/bun-direct.ts";
export { attachResponse, type NodeResponse } from "./sinks/node-http.ts";
export { HubError, type HubErrorCode } from "./errors.ts";
export type { StoredEvent } from "./log/stored-event.ts";
export type { Message } from "./publish/message.ts";
export type { NewEvent } from "./log/new-event.ts";
export { createHub, type Hub } from "./hub.ts";
export type { HubStats, SlowStream } from "./stats.ts";
export type { IterateRequest } from "./subscribe/event-iterator.ts";
export { type HubEvent, toServerSentEvent } from "./subscribe/hub-event.ts";
export type { Opening } from "./subscribe/opening.ts";
export type { LagPolicy, StreamRequest } from "./subscribe/request.ts";
export type {
  Bounds,
  Connection,
  EventLog,
  MaybePromise,
  Page,
  Position,
  PositionRequest,
  ReadLimits,
  TailListener,
} from "./log/event-log.ts";
export { MEMORY_LOG_DEFAULTS, MemoryLog } from "./log/memory/memory-log.ts";
export type { Retention } from "./log/retention.ts";
export { HUB_DEFAULTS, type HubObserver, type HubOptions } from "./options.ts";
export { RecordingSink } from "./sinks/recording.ts";
export type { InputOf, OutputOf, TopicSchemas } from "./publish/schemas.ts";
export type { Attachable, Reader, Sink } from "./sinks/sink.ts";
export { webStream } from "./sinks/web-stream.ts";
export type { Stream, StreamState } from "./deliver/stream.ts";
export type { DataFor, SelectorFor, TopicMap, TopicOf } from "@sse/protocol";
export type { Known, MessageFor } from "./topics/typed-topics.ts";
export { MAX_TOPIC_BYTES, parseTopic, SelectorSet, type Topic } from "./topics/topic.ts";
