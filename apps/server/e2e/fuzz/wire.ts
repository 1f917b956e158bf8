import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Random } from "@sse/hub/test/random.ts";

/** How a connection ends from our side: in order, in mid-air, or with nothing more to say while we still listen. */
export type Ending = "close" | "reset" | "half-close";

/** What came back for one request. */
export interface Answer {
  status: number;
  /** Null in HTTP/2, where they are packed. */
  headers: ReadonlyMap<string, string> | null;
  body: string;
  isWhole: boolean;
}

/** A socket that is written to byte by byte as it was drawn, and tells what came back. */
export class Wire implements Disposable {
  isClosed = false;
  readonly #socket: Socket;
  #wake: (() => void)[] = [];

  private constructor(socket: Socket, onData: (bytes: Buffer) => void) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      onData(bytes);
      this.#changed();
    });
    const over = (): void => {
      this.isClosed = true;
      this.#changed();
    };
    socket
      .on("error", () => {})
      .on("end", over)
      .on("close", over);
  }

  /** @param isTls speaks HTTP/2 then */
  static open(port: number, isTls: boolean, onData: (bytes: Buffer) => void): Promise<Wire> {
    const { promise, resolve } = Promise.withResolvers<Wire>();
    const at = { port, host: "127.0.0.1" };
    const socket: Socket = isTls
      ? connectTls({ ...at, ALPNProtocols: ["h2"], rejectUnauthorized: false }, () => resolve(wire))
      : connectTcp({ ...at, allowHalfOpen: true }, () => resolve(wire));
    const wire = new Wire(socket, onData);
    socket.once("close", () => resolve(wire));
    return promise;
  }

  write(bytes: Uint8Array): void {
    if (!this.isClosed) this.#socket.write(bytes);
  }

  /** Writes in the pieces that these places make, with a pause after each. */
  async writeSplit(bytes: Buffer, { cuts, pause }: Delivery): Promise<void> {
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      this.write(bytes.subarray(from, to));
      from = to;
      if (to < bytes.length) await Bun.sleep(pause);
    }
  }

  /** Waits for a condition that what comes back makes true, for the connection's end, or for so long. */
  async until(condition: () => boolean, milliseconds: number): Promise<boolean> {
    const end = performance.now() + milliseconds;
    while (!condition() && !this.isClosed) {
      const rest = end - performance.now();
      if (rest <= 0) return false;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake.push(resolve);
      const timer = setTimeout(resolve, rest);
      await promise;
      clearTimeout(timer);
    }
    return condition();
  }

  end(how: Ending): void {
    if (how === "half-close") this.#socket.end();
    else if (how === "reset") this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #changed(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const resolve of waiting) resolve();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** Where bytes are cut in pieces, and how long to wait after each, in milliseconds. */
export interface Delivery {
  readonly cuts: readonly number[];
  readonly pause: number;
}

export function drawDelivery(random: Random, length: number): Delivery {
  if (random.chance(0.7)) return { cuts: [], pause: 0 };
  const count = random.pick([1, 2, 5, 40]);
  const cuts = Array.from({ length: count }, () => random.below(length));
  return { cuts: cuts.toSorted((a, b) => a - b), pause: random.pick([0, 0, 1, 10, 30]) };
}

export function drawNoise(random: Random, most: number): Buffer {
  return Buffer.from(Array.from({ length: random.below(most) }, () => random.below(256)));
}
