import { createDecoder, type Decoder } from "@sse/protocol";
import type { CloseReason, Sink, StoredEvent, Stream } from "../src/index.ts";
import type { SimulatedClient } from "./client.ts";
import { CommentReader } from "./comment-reader.ts";
import type { SimulatedNode } from "./node.ts";
import type { Line } from "./scheduler.ts";
import type { RunContext } from "./run-context.ts";

/**
 * One response, from the hub's sink to the client's decoder: bytes are on their way for as long as the scheduler will have it, are
 * cut anywhere, and are lost where the connection is cut.
 */
export class Connection implements Sink {
  readonly client: SimulatedClient;
  readonly node: SimulatedNode;
  readonly #run: RunContext;
  readonly #line: Line;
  readonly #decoder: Decoder;
  readonly #comments: CommentReader | null;
  /** On their way. */
  readonly #frames: Uint8Array[] = [];
  #offset = 0;
  #bytes = 0;
  #blocked: PromiseWithResolvers<void> | null = null;
  /** When the write began that the hub waits for, by its clock. */
  blockedSince = 0;
  lastWrite: number;
  /** Whether anything was written. */
  hasBegun = false;
  #ended: "closed" | "aborted" | null = null;
  /** It has thrown, and may still be closed. */
  #hasFailed = false;
  /** The client is gone, and what the server still writes goes nowhere; and the server has been told so. */
  #isCut = false;
  #isKnownCut = false;
  isStalled = false;
  #stream: Stream | null = null;
  /** Why the hub has closed it. */
  reason: CloseReason | null = null;

  constructor(client: SimulatedClient, node: SimulatedNode, run: RunContext) {
    this.client = client;
    this.node = node;
    this.#run = run;
    this.#line = run.scheduler.line();
    this.lastWrite = node.clock.now();
    this.#decoder = createDecoder({
      lastEventId: client.lastEventId,
      onEvent: (event) => client.see(event),
      onRetry: (milliseconds) => client.setRetry(milliseconds),
      onComment: (text) =>
        run.verdict.holds(text === "", "content", () => `${client.name} is sent the comment ${text}`),
    });
    this.#comments = client.control === "comment" ? new CommentReader() : null;
  }

  get isOpen(): boolean {
    return this.#ended === null && !this.#isCut;
  }

  /** The hub has begun to write. */
  attached(stream: Stream): void {
    this.#stream = stream;
    if (this.#isKnownCut && this.#ended === null) stream.gone();
  }

  get isBlocked(): boolean {
    return this.#blocked !== null;
  }

  /** Whether all that was written has come. */
  get isDelivered(): boolean {
    return this.#frames.length === 0;
  }

  write(frame: Uint8Array, events: readonly StoredEvent[] = []): number | Promise<unknown> {
    const { verdict, config, random, trace } = this.#run;
    if (this.node.isGone) return 0; // nobody runs that code
    const who = this.client.name;
    verdict.holds(this.#ended === null, "sink", () => `${who}: written to after the end`);
    verdict.holds(this.#blocked === null, "sink", () => `${who}: written to while a write is blocked`);
    verdict.holds(frame.byteLength > 0, "sink", () => `${who}: an empty frame`);
    // What a log counts of plain events may be less; gaps of lag are not counted.
    if (this.client.envelope !== undefined && this.client.lag !== "latest" && events.length > 1)
      verdict.holds(
        frame.byteLength <= config.hub.maxFrameBytes,
        "sink",
        () => `${who}: a frame is too large`,
      );
    trace.note(" write", who, frame.byteLength);
    this.lastWrite = this.node.clock.now();
    this.hasBegun = true;
    if (config.throws > 0 && !this.#run.isCalm && random.chance(0.01)) {
      this.#finish("aborted");
      this.#hasFailed = true;
      throw new Error("a sink that throws");
    }
    if (this.#isKnownCut) return 0;
    if (this.#isCut) return random.chance(0.5) ? 0 : frame.byteLength; // as long as the kernel takes it
    if (config.throws > 0 && !this.#run.isCalm && random.chance(0.01)) {
      // It learns within the write that its reader is gone.
      this.client.cut();
      this.#hangUp();
      return frame.byteLength;
    }
    this.#frames.push(frame);
    this.#bytes += frame.byteLength;
    this.#send();
    if (this.#bytes <= config.socket && !(this.isStalled && random.chance(0.5))) return frame.byteLength;
    this.blockedSince = this.node.clock.now();
    this.#blocked = Promise.withResolvers();
    return this.#blocked.promise;
  }

  close(): void {
    if (!this.#hasFailed && !this.node.isGone) this.#finish("closed");
  }

  abort(): void {
    if (!this.#hasFailed && !this.node.isGone) this.#finish("aborted");
  }

  #finish(how: "closed" | "aborted"): void {
    this.#run.verdict.holds(this.#ended === null, "sink", () => `${this.client.name}: ended twice`);
    this.#run.trace.note(" end", this.client.name, how);
    this.#ended = how;
    this.node.connections.delete(this);
    if (this.#isCut) return;
    if (how === "aborted") this.#drop(this.#run.random.below(this.#bytes + 1));
    this.#send();
  }

  /** What is on its way, but for so many bytes, is lost. */
  #drop(left: number): void {
    const frames = this.#frames.splice(0);
    this.#bytes = 0;
    for (let start = this.#offset; frames.length > 0 && this.#bytes < left; start = 0) {
      const frame = frames.shift()!;
      const end = Math.min(frame.byteLength, start + left - this.#bytes);
      this.#frames.push(frame.subarray(0, end));
      this.#bytes += end - start;
    }
    if (this.#frames.length === 0) this.#offset = 0;
  }

  /** Bytes, or the end of them, are on their way. */
  #send(): void {
    if (this.isStalled || this.#line.tasks.length > 0) return;
    this.#line.post("bytes", this.client, () => this.#arrive());
  }

  #arrive(): void {
    if (this.#isCut) return;
    const { random, config } = this.#run;
    if (this.#frames.length === 0) {
      if (this.#ended === null) return;
      this.#isCut = true;
      this.client.lastEventId = this.#decoder.lastEventId;
      this.client.disconnected(this, this.#ended === "closed");
      return;
    }
    const isSmall = random.chance(config.cuts);
    let left = isSmall ? 1 + random.below(random.chance(0.5) ? 8 : 200) : 1 + random.below(2 * this.#bytes);
    while (left > 0 && this.#frames.length > 0 && !this.#isCut) {
      const frame = this.#frames[0]!;
      const piece = frame.subarray(this.#offset, this.#offset + left);
      left -= piece.byteLength;
      this.#bytes -= piece.byteLength;
      this.#offset += piece.byteLength;
      if (this.#offset === frame.byteLength) {
        this.#frames.shift();
        this.#offset = 0;
      }
      this.#feed(piece);
    }
    if (this.#isCut) return;
    if (this.#frames.length > 0 || this.#ended !== null) this.#send();
    if (this.#bytes > config.socket / 2 || this.#blocked === null) return;
    const blocked = this.#blocked;
    this.#run.scheduler.post("unblock", this.node, () => {
      if (this.#blocked === blocked) this.#unblock();
    });
  }

  #feed(piece: Uint8Array): void {
    try {
      this.#decoder.feed(this.#comments === null ? piece : this.#comments.read(piece));
    } catch (error) {
      this.#run.verdict.wrong("content", `${this.client.name}: ${String(error)}`);
    }
  }

  #unblock(): void {
    const blocked = this.#blocked;
    this.#blocked = null;
    // A socket's write that fails is told by a rejection, or not at all.
    if (this.#isCut && this.#run.random.chance(0.5)) blocked?.reject(new Error("the socket is closed"));
    else blocked?.resolve();
  }

  stall(): void {
    this.isStalled = true;
  }

  goOn(): void {
    if (!this.isStalled) return;
    this.isStalled = false;
    if (this.#frames.length > 0 || this.#ended !== null) this.#send();
  }

  /** The network fails, or the client goes, after some of what is on its way. The server learns of it later. */
  cut(): void {
    if (this.#isCut) return;
    const { random } = this.#run;
    // Between the last lines of an event and the blank one is where clients have been wrong.
    this.#drop(
      random.chance(0.3) ? Math.max(0, this.#bytes - random.below(3)) : random.below(this.#bytes + 1),
    );
    for (const frame of this.#frames.splice(0)) {
      this.#feed(frame.subarray(this.#offset));
      this.#offset = 0;
    }
    this.#bytes = 0;
    this.#isCut = true;
    this.client.lastEventId = this.#decoder.lastEventId;
    this.#run.scheduler.post("hang up", this.node, () => this.#hangUp());
  }

  #hangUp(): void {
    if (this.#isKnownCut) return;
    this.#isKnownCut = true;
    if (this.#blocked !== null) this.#unblock();
    if (this.#ended === null) this.#stream?.gone();
  }

  /** The server's process has died: what it had sent may still come. */
  die(): void {
    if (this.#ended === null) this.#finish("aborted");
  }
}
