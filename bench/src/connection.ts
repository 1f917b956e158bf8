import { dial, type SocketUser, type Wired } from "./dial.ts";
import type { SampledReader } from "./sample.ts";
import { ResponseReader } from "./response.ts";
import type { Scanner } from "./scanner.ts";
import { reasonOf, type Target } from "./target.ts";

/** What a connection asks for and whom it tells. */
export interface ConnectionOptions {
  readonly target: Target;
  /** Where it comes from; null leaves that to the system. */
  readonly source: string | null;
  /** Takes the bytes of the stream. */
  readonly reader: Scanner | SampledReader;
  /** Stops to read once it has the first bytes of the stream. */
  readonly stalls: boolean;
  /** The stream is open: its head has come, and says that it is one. */
  onOpen(): void;
  /** Bytes of the stream, just before they are read. */
  onBytes(count: number): void;
  /** It did not come to be a stream. */
  onFailure(reason: string): void;
  /** An open stream has ended, and not because we closed it. */
  onDrop(): void;
}

/** One stream: a raw socket, because `fetch` allows 256 at a time and hides when bytes came. */
export class Connection implements SocketUser {
  readonly #options: ConnectionOptions;
  readonly #response: ResponseReader;
  #socket: Wired | null = null;
  #state: "idle" | "connecting" | "open" = "idle";

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { reader } = options;
    this.#response = new ResponseReader({
      head: ({ status, headers }) => this.#head(status, headers.get("content-type") ?? ""),
      body: (bytes, start, end) => {
        options.onBytes(end - start);
        reader.scan(bytes, start, end);
        if (options.stalls) this.#socket?.pause();
      },
      end: () => this.#ended("the stream ended"),
    });
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get #isIdle(): boolean {
    return this.#state === "idle";
  }

  get reader(): Scanner | SampledReader {
    return this.#options.reader;
  }

  /** @param request the request's head, whole */
  async connect(request: string): Promise<void> {
    const { target, source, reader } = this.#options;
    this.#state = "connecting";
    this.#response.reset();
    reader.reset();
    try {
      const socket = await dial(target, this, source);
      // Given up while it was connecting.
      if (this.#isIdle) return void socket.end();
      this.#socket = socket;
      if (socket.write(request) < 0) this.#ended("the connection was closed");
    } catch (error) {
      this.#ended(reasonOf(error));
    }
  }

  /** Closes it; nobody is told. */
  close(): void {
    this.#state = "idle";
    this.#socket?.end();
    this.#socket = null;
  }

  /** Gives up on a stream that does not open. */
  fail(reason: string): void {
    if (this.#state === "connecting") this.#ended(reason);
  }

  received(socket: Wired, bytes: Buffer): void {
    if (socket !== this.#socket) return;
    try {
      this.#response.feed(bytes);
    } catch (error) {
      this.#ended((error as Error).message);
    }
  }

  /** A request fits into the buffer of a socket that is new. */
  drained(): void {}

  closed(socket: Wired): void {
    if (socket === this.#socket) this.#ended("the connection was closed");
  }

  #head(status: number, type: string): void {
    if (status !== 200) return this.#ended(`status ${status}`);
    if (!type.startsWith("text/event-stream")) return this.#ended(`content-type ${JSON.stringify(type)}`);
    this.#state = "open";
    this.#options.onOpen();
  }

  #ended(reason: string): void {
    const was = this.#state;
    if (was === "idle") return;
    this.close();
    if (was === "open") this.#options.onDrop();
    else this.#options.onFailure(reason);
  }
}
