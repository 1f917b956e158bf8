import { Refusal } from "../answers/problem.ts";

/** What bounds the bodies of requests. */
export interface BodyOptions {
  /** The most bytes in one; default 4 MiB. */
  maxBodyBytes?: number | undefined;
  /** The most bytes in all that are there and not answered yet; default 64 MiB. */
  maxBytesInFlight?: number | undefined;
  /**
   * How long one may take to arrive, in milliseconds; default 20,000. Keep it shorter than what the HTTP server waits for itself:
   * its client would not hear why.
   */
  timeout?: number | undefined;
}

/** The defaults of {@link BodyOptions}. */
export const BODY_DEFAULTS = Object.freeze({
  maxBodyBytes: 4 * 1024 * 1024,
  maxBytesInFlight: 64 * 1024 * 1024,
  timeout: 20_000,
}) satisfies BodyOptions;

/** What a request with a body counts besides its body: what it takes in memory until it is answered. */
const OVERHEAD = 4096;
/** A body that is declared no longer than this is read at one go, and counts from the beginning. */
const SMALL = 16 * 1024;
/** So is one of this length while {@link RESERVED} of the room is not taken: many who declare much and send nothing take no more. */
const MEDIUM = 256 * 1024;
const RESERVED = 1 / 2;
/** Bytes that are decoded together: each chunk of a few would be a string of its own, in memory a hundred times as long. */
const DECODED = 4096;
/** Chunks of a body that are read before everything else has its turn. */
const CHUNKS = 64;

/** A byte order mark is a part of the text: JSON refuses it, data keeps it. */
const UTF8 = { fatal: true, ignoreBOM: true };
const decoder = new TextDecoder("utf-8", UTF8);

/** A body that is there, and counts until it is released. */
export interface Body {
  readonly text: string;
  /** When it began to be read, in milliseconds of `performance.now`. */
  readonly since: number;
  /** To be called once the request is answered, however that ends. */
  release(): void;
}

/**
 * The bodies of all requests that are not answered yet: bounded in bytes, each read against a deadline.
 *
 * All of it goes over `Request.body`, and so it holds for every protocol. What a server has read ahead of us is its own, and
 * not counted: see `docs/limits.md`.
 */
export class RequestBodies {
  /** See {@link BodyOptions}. */
  readonly maxBodyBytes: number;
  readonly #room: Room;

  /** @throws RangeError when there would be no room for the longest body */
  constructor(options: BodyOptions = {}) {
    const { maxBodyBytes = BODY_DEFAULTS.maxBodyBytes } = options;
    const { maxBytesInFlight = BODY_DEFAULTS.maxBytesInFlight, timeout = BODY_DEFAULTS.timeout } = options;
    if (maxBodyBytes + OVERHEAD > maxBytesInFlight) {
      throw new RangeError(
        `maxBytesInFlight ${maxBytesInFlight} must be ${OVERHEAD} more than maxBodyBytes ${maxBodyBytes} at the least`,
      );
    }
    this.maxBodyBytes = maxBodyBytes;
    this.#room = new Room(maxBytesInFlight, timeout);
  }

  /** Bytes of bodies that are there and not answered yet, and {@link OVERHEAD} for each. */
  get bytesInFlight(): number {
    return this.#room.taken;
  }

  /**
   * A request's body as text.
   *
   * @param maxBytes default: those of the options
   * @throws Refusal 413 over the limit, without having read much more than that; 408 when it takes too long; 503 when there
   *   is no room for it; 400 when it is not UTF-8, or cut off
   */
  read(request: Request, maxBytes: number = this.maxBodyBytes): Promise<Body> {
    // One promise, and no async function: a small body costs hardly more than without any of this.
    return new Promise((resolve, reject) => {
      new ArrivingBody(this.#room, resolve, reject).read(request, maxBytes);
    });
  }
}

/** The room for bodies, and those that are still arriving. */
class Room {
  readonly #bytes: number;
  readonly #timeout: number;
  /** The oldest first, and among them some that have arrived: they are taken out together. */
  #bodies: ArrivingBody[] = [];
  /** How many are still arriving. */
  #arriving = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Bytes. */
  taken = 0;

  /** @param timeout milliseconds */
  constructor(bytes: number, timeout: number) {
    this.#bytes = bytes;
    this.#timeout = timeout;
  }

  /** @throws Refusal 503 when there is none */
  take(bytes: number): void {
    if (this.taken + bytes > this.#bytes) {
      throw new Refusal(
        503,
        `the bodies of all requests are over the limit of ${this.#bytes} bytes; send it again later`,
        {},
        "bodies",
      );
    }
    this.taken += bytes;
  }

  /** Whether so many may be counted although they are not there yet. */
  reserves(bytes: number): boolean {
    return bytes <= SMALL || (bytes <= MEDIUM && this.taken + bytes <= this.#bytes * RESERVED);
  }

  enter(body: ArrivingBody): void {
    this.#arriving++;
    if (this.#bodies.push(body) > 2 * this.#arriving + 64)
      this.#bodies = this.#bodies.filter(({ isDone }) => !isDone);
    if (this.#timer === null) this.#timer = this.#timerFor(body);
  }

  leave(): void {
    this.#arriving--;
  }

  /** One timer for all: set for the oldest, and, when that has arrived meanwhile, for the one that is the oldest then. */
  #timerFor({ since }: ArrivingBody): ReturnType<typeof setTimeout> {
    const left = Math.max(0, since + this.#timeout - performance.now());
    const timer = setTimeout(() => {
      this.#timer = null;
      const latest = performance.now() - this.#timeout;
      for (const body of this.#bodies) {
        if (body.isDone) continue;
        if (body.since > latest) {
          this.#timer = this.#timerFor(body);
          return;
        }
        body.abandon(tooLate(this.#timeout));
      }
      this.#bodies = [];
    }, left);
    // A process may end although a client has not.
    if (typeof timer === "object") timer.unref();
    return timer;
  }
}

/** Of Fetch, which Bun and Node declare in different ways. */
interface ChunkReader {
  read(): Promise<{ done: boolean; value?: Uint8Array }>;
  cancel(): Promise<void>;
}

class ArrivingBody implements Body {
  readonly since: number = performance.now();
  text = "";
  readonly #room: Room;
  readonly #resolve: (body: Body) => void;
  readonly #reject: (error: unknown) => void;
  #taken = 0;
  #reader: ChunkReader | null = null;
  /** Whether it has arrived, or never will. */
  isDone = false;

  constructor(room: Room, resolve: (body: Body) => void, reject: (error: unknown) => void) {
    this.#room = room;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  release(): void {
    this.#room.taken -= this.#taken;
    this.#taken = 0;
    this.text = "";
  }

  read(request: Request, maxBytes: number): void {
    const fail = (error: unknown): void => this.abandon(error);
    try {
      const header = request.headers.get("content-length");
      const declared = header === null ? Infinity : Number(header);
      if (header !== null && declared > maxBytes) throw tooLarge(maxBytes);
      // What is short has come with its headers nearly always, and costs less at one go.
      const isReserved = this.#room.reserves(declared);
      this.#count(isReserved ? OVERHEAD + declared : OVERHEAD);
      this.#room.enter(this);
      if (isReserved) request.arrayBuffer().then((bytes) => this.#decode(bytes), fail);
      else if (request.body === null) this.#finish("");
      else this.#readChunks(request.body.getReader(), maxBytes).then((text) => this.#finish(text), fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Ends the reading. */
  abandon(error: unknown): void {
    if (this.isDone) return;
    this.isDone = true;
    this.#reader?.cancel().catch(() => {});
    this.#room.leave();
    this.release();
    this.#reject(refusalOf(error));
  }

  #decode(bytes: ArrayBuffer): void {
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch (error) {
      return this.abandon(error);
    }
    this.#finish(text);
  }

  #finish(text: string): void {
    if (this.isDone) return;
    this.isDone = true;
    this.#room.leave();
    this.text = text;
    this.#resolve(this);
  }

  async #readChunks(reader: ChunkReader, maxBytes: number): Promise<string> {
    this.#reader = reader;
    const text = new ArrivingText();
    let total = 0;
    for (let chunks = 1; ; chunks++) {
      // Chunks of a few bytes each would hold the loop, as long as they are there already: what comes meanwhile is joined.
      if (chunks % CHUNKS === 0) await new Promise((resolve) => setImmediate(resolve));
      const { done, value } = await reader.read();
      if (this.isDone) return "";
      if (done || value === undefined) return text.end();
      total += value.byteLength;
      if (total > maxBytes) throw tooLarge(maxBytes);
      this.#count(value.byteLength);
      text.add(value);
    }
  }

  #count(bytes: number): void {
    this.#room.take(bytes);
    this.#taken += bytes;
  }
}

/** A text that comes in chunks of any length. */
class ArrivingText {
  readonly #decoder = new TextDecoder("utf-8", UTF8);
  #text = "";
  /** Short chunks, and how many bytes of them there are; made with the first. */
  #short: Uint8Array | null = null;
  #length = 0;

  /** @throws TypeError for what is not UTF-8 */
  add(chunk: Uint8Array): void {
    if (this.#length + chunk.byteLength > DECODED) this.#flush();
    if (chunk.byteLength > DECODED) {
      this.#text += this.#decoder.decode(chunk, { stream: true });
      return;
    }
    this.#short ??= new Uint8Array(DECODED);
    this.#short.set(chunk, this.#length);
    this.#length += chunk.byteLength;
  }

  /** @throws TypeError for what is not UTF-8 */
  end(): string {
    this.#flush();
    return this.#text + this.#decoder.decode();
  }

  #flush(): void {
    if (this.#length === 0) return;
    this.#text += this.#decoder.decode(this.#short!.subarray(0, this.#length), { stream: true });
    this.#length = 0;
  }
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal(
    413,
    `the body is over the limit of ${maxBytes} bytes; send the events in several requests`,
  );
}

/** The rest of the body is still to come on its connection. */
function tooLate(timeout: number): Refusal {
  return new Refusal(
    408,
    `the body took longer than ${timeout / 1000} s to arrive; send less at once`,
    { connection: "close" },
    "body-timeout",
  );
}

function refusalOf(error: unknown): unknown {
  if (error instanceof TypeError) return new Refusal(400, "the body is not UTF-8");
  if ((error as Error).name === "AbortError") return new Refusal(400, "the body was cut off");
  return error;
}
