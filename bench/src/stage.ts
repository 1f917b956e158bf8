import { now } from "./clock.ts";
import { Generator, type GroupOptions, type GroupResult } from "./generator.ts";
import { emptyTally } from "./ledger.ts";
import { LoadMeter, type LoadReport } from "./load-meter.ts";
import { createMark } from "./payload.ts";
import type { RunningPeer } from "./peers/peer.ts";
import { cpuSeconds, residentBytes } from "./procfs.ts";
import { Publisher } from "./publisher.ts";
import type { Outcome, Settings } from "./scenario.ts";
import { pathOf, resolveTarget, type Target } from "./target.ts";

export const TOPIC = "bench";
export const PAYLOAD_BYTES = 64;
/** Connecting at a time: below the listen backlog of Bun and Go, which storm is there to exceed. */
const IN_FLIGHT = 256;
const OPEN_WITHIN = 15_000;
/** How long nothing may come before what is missing counts as lost; milliseconds. */
const FINISH_WITHIN = 30_000;
const WARM_UP_STREAMS = 500;
const WARM_UP_EVENTS = 100;
/** Until the server has seen that streams are gone; milliseconds. */
const GONE_WITHIN = 500;
/** How long streams are idle until memory is read: what opening them took for a while is given back by then; milliseconds. */
const IDLE = 2000;
/** Between the heads of the streams and the first event: some servers subscribe a stream after they have answered. */
const SETTLE = 250;

export type StreamOptions = Partial<GroupOptions> & Pick<GroupOptions, "streams" | "channels">;

/** A peer, and a generator that is set up against it: what all scenarios begin with. */
export class Stage implements AsyncDisposable {
  readonly peer: RunningPeer;
  readonly generator: Generator;
  #mark = createMark();
  readonly #payloadBytes: number;
  readonly #target: Target;
  readonly #meter = new LoadMeter();
  readonly #publishers: Publisher[] = [];

  private constructor(peer: RunningPeer, generator: Generator, target: Target, payloadBytes: number) {
    this.peer = peer;
    this.generator = generator;
    this.#target = target;
    this.#payloadBytes = payloadBytes;
  }

  /**
   * @param streams how many the generator will have to hold
   * @param insecure takes any certificate
   * @throws BenchError when nothing can be reached there
   */
  static async set(
    peer: RunningPeer,
    streams: number,
    { processes, payload }: Pick<Settings, "processes" | "payload">,
    insecure = false,
  ): Promise<Stage> {
    const target = await resolveTarget(peer.eventsUrl(TOPIC), insecure);
    const generator = await Generator.start(streams, processes ?? undefined);
    return new Stage(peer, generator, target, payload ?? PAYLOAD_BYTES);
  }

  /**
   * Opens streams, and answers how many bytes of the server's memory each takes; null for so few that a page more or less would be
   * most of it. Five hundred others are served before, so that what the system loads and the compilers make does not count, and stay
   * open meanwhile: a server gives little back of what streams that are gone took, and new ones would be counted as free.
   */
  async memoryPerStream(count: number, open: () => Promise<void>): Promise<number | null> {
    let bytes: number | null;
    {
      await using others = await Generator.start(WARM_UP_STREAMS, 1);
      const publisher = this.publisher(1);
      await this.open("warm-up", { streams: WARM_UP_STREAMS, channels: 1 }, others);
      await this.settle();
      await publisher.publish(WARM_UP_EVENTS);
      await others.finish("warm-up", publisher.published, FINISH_WITHIN);
      this.renewMark();
      await Bun.sleep(count < WARM_UP_STREAMS ? 0 : IDLE);
      const before = this.resident();
      await open();
      await Bun.sleep(count < WARM_UP_STREAMS ? SETTLE : IDLE);
      bytes = count < WARM_UP_STREAMS ? null : per(difference(this.resident(), before), count);
    }
    await Bun.sleep(GONE_WITHIN);
    return bytes;
  }

  /** Opens streams of the topic, unless other paths are given. */
  async open(group: string, options: StreamOptions, generator: Generator = this.generator): Promise<void> {
    await generator.open(group, {
      target: this.#target,
      paths: [pathOf(this.peer.eventsUrl(TOPIC))],
      headers: {},
      inFlight: IN_FLIGHT,
      openWithin: OPEN_WITHIN,
      mark: this.#mark,
      sampleEvery: 100,
      firstChannel: 0,
      ownChannels: false,
      stalls: false,
      ...options,
    });
  }

  publisher(inFlight: number, topics: readonly string[] = [TOPIC], target = this.#target): Publisher {
    const publisher = new Publisher({
      target,
      requests: topics.map((topic) => this.peer.publish(topic)),
      mark: this.#mark,
      payloadBytes: this.#payloadBytes,
      inFlight,
    });
    this.#publishers.push(publisher);
    return publisher;
  }

  /** What is published and what is counted from now on is told apart from what was. */
  renewMark(): void {
    this.#mark = createMark();
  }

  settle(): Promise<void> {
    return Bun.sleep(SETTLE);
  }

  /** Begins to measure latencies from a time on, and the load of the generator's processes, this one too. */
  async measure(from: number = now()): Promise<void> {
    this.#meter.restart();
    await this.generator.measure(from);
  }

  /** How busy the generator was since `measure`, this process last. */
  async load(): Promise<LoadReport[]> {
    return [...(await this.generator.load()), this.#meter.report()];
  }

  /** Waits until the open streams of a group have all that was published, and tells what became of them. */
  async finish(group: string, { published }: Publisher, within = FINISH_WITHIN): Promise<GroupResult> {
    await this.generator.finish(group, published, within);
    return await this.generator.report(group);
  }

  /** Measures the server's CPU, and the time, from now on. */
  stopwatch(): Stopwatch {
    return new Stopwatch(this.peer);
  }

  resident(): number | null {
    return residentBytes(this.peer.pids);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#meter[Symbol.dispose]();
    for (const publisher of this.#publishers) publisher[Symbol.dispose]();
    await this.generator[Symbol.asyncDispose]();
  }
}

/** Seconds since it was made. */
export class Stopwatch {
  readonly #pids: readonly number[];
  readonly #cpu: number | null;
  readonly #start: number;

  constructor({ pids }: RunningPeer) {
    this.#pids = pids;
    this.#cpu = cpuSeconds(pids);
    this.#start = now();
  }

  /** CPU of the server, user and system. */
  get cpu(): number | null {
    return difference(cpuSeconds(this.#pids), this.#cpu);
  }

  /** @param time as `now()`; default: now */
  seconds(time: number = now()): number {
    return (time - this.#start) / 1e6;
  }
}

/** The counts of a run; a scenario adds its figures. */
export function outcome(
  result: GroupResult | null,
  publisher: Publisher | null,
  rest: Pick<Outcome, "figures"> & Partial<Outcome>,
): Outcome {
  return {
    streams: result?.open ?? 0,
    published: publisher?.accepted ?? 0,
    deliveries: result?.tally.received ?? 0,
    tally: result?.tally ?? emptyTally(),
    refused: Object.fromEntries(publisher?.refusals ?? []),
    failures: Object.fromEntries(result?.failures ?? []),
    dropped: result?.dropped ?? 0,
    notes: [],
    voids: [],
    ...rest,
  };
}

/** The difference, or null when there is nothing to take it from. */
export function difference(after: number | null, before: number | null): number | null {
  return after === null || before === null ? null : after - before;
}

/** An amount for each of so many, or null when there is none. */
export function per(amount: number | null, count: number, factor = 1): number | null {
  return amount === null || count === 0 ? null : (amount / count) * factor;
}
