import type { Counters } from "./counters.ts";
import type { Bounds, EventLog } from "./log/event-log.ts";
import type { StreamState } from "./deliver/stream.ts";

/** What a hub holds, and what it has done since its start. */
export interface HubStats extends Counters {
  /** Open streams, those of namespaces among them. */
  streams: number;
  /** Sets of streams with the same selectors and encoding. */
  cohorts: number;
  /** How many addresses and principals have streams. */
  addresses: number;
  /** See `addresses`. */
  principals: number;
  /** By state. */
  catchingUp: number;
  /** Streams whose reader is behind. */
  blocked: number;
  /** Events that the log took from publishers of this hub. */
  published: number;
  /** Bytes of events that came into the log, as they go over the wire. */
  bytesTaken: number;
  /** `fault` and `connection`: see {@link EventLog}. */
  log: Bounds & Pick<EventLog, "fault" | "connection">;
}

/** A stream that has not had everything. */
export interface SlowStream {
  /** Its selectors. */
  topics: readonly string[];
  /** What it is doing. */
  state: StreamState;
  /** Milliseconds since it was opened. */
  age: number;
  /** Events of the log that it has yet to get, of its topics or not. */
  lag: number;
}
