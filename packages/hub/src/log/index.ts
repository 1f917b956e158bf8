export { createEpoch, type Cursor, type EventId, formatEventId, parseEventId } from "./event-id.ts";
export type { NewEvent } from "./new-event.ts";
export { storedEvent, type StoredEvent } from "./stored-event.ts";
export { numberBatch } from "./numbering.ts";
export { PageBuilder } from "./page-builder.ts";
export { type LastSeen, parseLastEventId, toPosition } from "./last-event-id.ts";
export { RecentEvents } from "./recent-events.ts";
export { ENDS, type Limits, limitsOf, type Retention, sizeOf } from "./retention.ts";
export { TailListeners } from "./tail-listeners.ts";
