import type { CloseReason, GapReason, Resume } from "./control-events.ts";

/** What a hub has done to its streams since its start. */
export interface Counters {
  /** Events that a sink took, over all streams. */
  deliveries: number;
  /** Bytes that sinks took. */
  bytes: number;
  heartbeats: number;
  /** Streams by how they began. */
  resumes: Record<Resume, number>;
  /** Gaps that streams were told of, by reason. */
  gaps: Record<GapReason, number>;
  /** Streams that have closed, by reason. */
  closes: Record<CloseReason, number>;
}

export function createCounters(): Counters {
  return {
    deliveries: 0,
    bytes: 0,
    heartbeats: 0,
    resumes: { fresh: 0, resumed: 0, reset: 0 },
    gaps: { evicted: 0, epoch: 0, "unknown-id": 0, lag: 0 },
    closes: { client: 0, ended: 0, error: 0, drain: 0, slow: 0, "max-age": 0, "auth-expired": 0 },
  };
}
