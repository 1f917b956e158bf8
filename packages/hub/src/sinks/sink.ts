/** Where a stream's bytes go. */
export interface Sink {
  /**
   * Takes the frame, whole. A number greater than 0: it went through. A promise: it is kept, but the reader is behind;
   * nothing more may be written until the promise settles. 0: the reader is gone.
   */
  write(frame: Uint8Array): number | Promise<unknown>;
  /** Ends the stream after what was written. */
  close(): void;
  /** Ends the stream now, and drops what the reader did not take: a graceful end would wait for it for ever. */
  abort(): void;
}
