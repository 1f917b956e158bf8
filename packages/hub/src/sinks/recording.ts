import type { Sink } from "./sink.ts";

/** A sink for tests: records what it is given, and blocks, unblocks and vanishes when told to. */
export class RecordingSink implements Sink {
  /** What was written, frame by frame. */
  readonly frames: Uint8Array[] = [];
  /** How it has ended; null: not yet. */
  ended: "closed" | "aborted" | null = null;
  #gone = false;
  #blocked: PromiseWithResolvers<void> | null = null;
  #stalled = false;

  /** All that was written, as text. */
  get text(): string {
    return this.frames.map((frame) => decoder.decode(frame)).join("");
  }

  /** The reader stops: the next frame is still taken, as by a real socket, but blocks. */
  stall(): void {
    this.#stalled = true;
  }

  /** The reader goes on. */
  release(): void {
    this.#stalled = false;
    this.#blocked?.resolve();
    this.#blocked = null;
  }

  /** The reader hangs up. */
  vanish(): void {
    this.#gone = true;
    this.release();
  }

  write(frame: Uint8Array): number | Promise<unknown> {
    if (this.#blocked !== null) throw new Error("written to while blocked");
    if (this.ended !== null) throw new Error("written to after the end");
    if (this.#gone) return 0;
    this.frames.push(frame);
    if (!this.#stalled) return frame.byteLength;
    this.#blocked = Promise.withResolvers();
    return this.#blocked.promise;
  }

  close(): void {
    this.ended ??= "closed";
  }

  abort(): void {
    this.ended ??= "aborted";
  }
}

const decoder = new TextDecoder();
