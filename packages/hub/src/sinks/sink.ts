import type { CloseReason } from "../control-events.ts";
import type { StoredEvent } from "../log/stored-event.ts";

/** Where a stream's bytes go. */
export interface Sink {
  /**
   * Takes the frame, whole. A number greater than 0: it went through. A promise: it is kept, but the reader is behind;
   * nothing more may be written until the promise settles. 0: the reader is gone.
   *
   * @param events those of the log that the frame has, among what the hub itself says: their topics are not in the bytes
   */
  write(frame: Uint8Array, events?: readonly StoredEvent[]): number | Promise<unknown>;
  /**
   * Ends the stream after what was written.
   *
   * @param reason why, which the bytes say where the client is to know it
   * @param error what failed, where that is the reason
   */
  close(reason?: CloseReason, error?: unknown): void;
  /** Ends the stream now, and drops what the reader did not take: a graceful end would wait for it for ever. */
  abort(reason?: CloseReason): void;
}

/** What `Hub.open` answers, as far as a sink needs it. */
export interface Attachable {
  /** Writes the first bytes to the sink before it returns, as a rule. */
  attach(sink: Sink): Reader;
  /** There will be no sink. */
  cancel(): void;
}

/** Who has to know that the client has gone: a `Stream`. */
export interface Reader {
  /** Called once, and not for a stream that was closed or aborted. */
  gone(): void;
}
