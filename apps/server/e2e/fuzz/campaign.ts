import { partSeed, Random } from "@sse/hub/test/random.ts";
import type { Case } from "./case.ts";
import { slowness } from "./cpu-time.ts";
import { drawCase1 } from "./http1.ts";
import { drawCase2 } from "./http2.ts";
import { Oracle, type Violation } from "./oracle.ts";
import { type Memory, ServerUnderTest } from "./server-under-test.ts";

export const PROTOCOLS = ["1.1", "2"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** The longest that one request may hold the event loop, in milliseconds of CPU time. */
const MOST_HELD = 50;
/** How often a case has to hold it so long, played alone: once may be a collection of garbage. */
const HOLDS = 3;
/** Connections at a time. */
const WIDTH = 24;
/** A case that sends more is played beside small ones only: together, they may hold the loop longer. */
const LARGE = 200_000;
/** How much more may be in use after a quiet time than after the first one: the log fills, and allocators keep some. */
const MOST_GROWTH = { heap: 64 * 1024 * 1024, live: 100, resident: 256 * 1024 * 1024 };

/** What a seed means. @param attempt makes it another client with other markers, and is the same but for that */
export function drawCase(protocol: Protocol, seed: number, attempt: number): Case {
  const random = new Random(partSeed(seed, protocol === "2" ? 2 : 1));
  const subject = `${seed.toString(36)}-${attempt}`;
  return protocol === "2" ? drawCase2(random, subject) : drawCase1(random, subject);
}

/** Plays cases against one server until something is wrong. */
export class Campaign implements AsyncDisposable {
  cases = 0;
  longestHeld = 0;
  readonly memory: Memory[] = [];
  readonly oracle: Oracle;
  readonly #server: ServerUnderTest;
  readonly #protocol: Protocol;
  /** Cases that may have to do with what is found now: under way, or just over. */
  readonly #recent = new Map<number, number>();
  #large: Promise<unknown> = Promise.resolve();
  #attempts = 0;

  private constructor(server: ServerUnderTest, protocol: Protocol, oracle: Oracle) {
    this.#server = server;
    this.#protocol = protocol;
    this.oracle = oracle;
  }

  static async start(protocol: Protocol): Promise<Campaign> {
    const oracle = new Oracle();
    return new Campaign(await ServerUnderTest.start(protocol === "2", oracle), protocol, oracle);
  }

  /** Plays cases, several at a time, until `isOver` or something is wrong; then waits until all is quiet. */
  async round(seeds: Iterator<number>, isOver: () => boolean): Promise<readonly Violation[]> {
    const work = async (): Promise<void> => {
      while (!isOver() && this.oracle.violations.length === 0 && this.#server.ended === null) {
        const { value, done } = seeds.next();
        if (done === true) return;
        await this.#play(value);
        this.#note();
        if (this.longestHeld > MOST_HELD) return;
      }
    };
    this.longestHeld = 0;
    await Promise.all(Array.from({ length: WIDTH }, work));
    try {
      await this.#blameHolders();
      if (this.oracle.violations.length === 0) {
        this.oracle.settle(await this.#server.settle(this.oracle));
        this.memory.push(await this.#server.memory());
      }
    } catch (error) {
      const ended = await this.#server.endedWithin(1000);
      if (ended === null) throw error;
      return [{ check: "crash", message: `the server ended with ${ended}`, subject: null }];
    }
    return [...this.oracle.violations, ...this.#grown()];
  }

  get recent(): readonly number[] {
    return [...this.#recent.keys()];
  }

  async #play(seed: number): Promise<void> {
    const each = drawCase(this.#protocol, seed, this.#attempts++);
    const isLarge = each.bytes > LARGE;
    const before = this.#large;
    const { promise, resolve } = Promise.withResolvers<void>();
    if (isLarge) this.#large = promise;
    if (isLarge) await before;
    try {
      this.#recent.set(seed, Infinity);
      await each.play({ port: this.#server.port, answered: (...told) => this.oracle.answered(...told) });
      this.cases++;
    } finally {
      this.#recent.set(seed, performance.now());
      resolve();
    }
    for (const [other, end] of this.#recent) if (end < performance.now() - 2000) this.#recent.delete(other);
  }

  #note(): void {
    for (const held of this.#server.takeHeld()) this.longestHeld = Math.max(this.longestHeld, held);
  }

  /** Plays the recent cases alone, to find out which of them holds the loop. */
  async #blameHolders(): Promise<void> {
    if (this.longestHeld <= MOST_HELD) return;
    for (const seed of this.recent) {
      const most = MOST_HELD * slowness();
      let least = Infinity;
      for (let time = 0; time < HOLDS && least > most; time++) {
        this.longestHeld = 0;
        await this.#play(seed);
        await Bun.sleep(20);
        this.#note();
        least = Math.min(least, this.longestHeld);
      }
      if (least <= most) continue;
      const message = `the event loop was held for ${Math.round(least)} ms or more ${HOLDS} times; ${Math.round(most)} are allowed on this machine now`;
      this.oracle.violations.push({ check: "stall", message, subject: seed.toString(36) });
    }
    this.longestHeld = 0;
  }

  #grown(): Violation[] {
    const [first, ...others] = this.memory;
    const last = others.at(-1);
    if (last === undefined) return [];
    return (["heap", "live", "resident"] as const)
      .filter((what) => last[what] - first![what] > MOST_GROWTH[what])
      .map((what) => ({
        check: "memory",
        message: `${what} grew from ${first![what]} to ${last[what]} in ${this.cases} cases`,
        subject: null,
      }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}
