/**
 * Thrown by `feed` when an event, or a line of it, would need more memory than the decoder may hold. The decoder keeps throwing
 * this same error until `reset()`; what it held is released.
 */
export class EventTooLargeError extends Error {
  override readonly name = "EventTooLargeError";
  /** Tells this error from others without `instanceof`, also across realms and copies of this package. */
  readonly code = "event-too-large";
  /** The limit that was exceeded, in bytes. */
  readonly maxEventBytes: number;

  constructor(maxEventBytes: number) {
    super(
      `The stream has an event or a line of more than ${maxEventBytes} bytes (maxEventBytes). ` +
        "Close the connection, or raise maxEventBytes if events of this size are expected; reset() makes the decoder usable again.",
    );
    this.maxEventBytes = maxEventBytes;
  }
}
