import type { Histogram } from "hdr-histogram-js";
import { now } from "./clock.ts";
import { GeneratorProcess } from "./generator-process.ts";
import { merged } from "./histogram.ts";
import { addTally, emptyTally, type Published } from "./ledger.ts";
import type { LoadReport } from "./load-meter.ts";
import type { GroupOrder, GroupReport } from "./messages.ts";
import { descriptorLimit } from "./procfs.ts";

/** A group over all processes; see {@link GroupOrder}. */
export type GroupOptions = Omit<GroupOrder, "group" | "sources">;

/** What became of a group: the sum of what the processes report. */
export interface GroupResult extends Omit<GroupReport, "failures" | "latency" | "opening" | "gaps"> {
  readonly failures: ReadonlyMap<string, number>;
  readonly latency: Histogram;
  readonly opening: Histogram;
  readonly gaps: Histogram;
}

/** Microseconds by which clocks may differ, beyond the time that asking takes. */
const CLOCK_TOLERANCE = 1000;
/** Descriptors that a process needs beside its streams. */
const SPARE_DESCRIPTORS = 200;
/** Streams that one local address is used for. Linux has 28,232 ports for one; the rest is for those that linger after a close. */
const STREAMS_PER_ADDRESS = 20_000;

/** The load generator: some processes that hold the streams, told what to do together. */
export class Generator implements AsyncDisposable {
  readonly #processes: readonly GeneratorProcess[];

  private constructor(processes: readonly GeneratorProcess[]) {
    this.#processes = processes;
  }

  /**
   * @param streams how many it will have to hold: as many processes are started as the limit on open files asks for
   * @throws Error when the clocks of the processes do not agree
   */
  static async start(streams: number, processes: number = defaultProcesses()): Promise<Generator> {
    const each = descriptorLimit("self") - SPARE_DESCRIPTORS;
    const count = Math.max(1, Math.min(processes, streams), Math.ceil(streams / each));
    const generator = new Generator(Array.from({ length: count }, () => new GeneratorProcess()));
    try {
      await generator.#checkClocks();
    } catch (error) {
      await generator[Symbol.asyncDispose]();
      throw error;
    }
    return generator;
  }

  /** How many streams are open, and how much has come, as of some milliseconds ago. */
  get progress(): { open: number; received: number; events: number; bytes: number } {
    const sum = { open: 0, received: 0, events: 0, bytes: 0 };
    for (const { tick } of this.#processes) {
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += tick[key];
    }
    return sum;
  }

  /** Events for each stream in the process that is furthest behind. */
  get leastReceived(): number {
    return Math.min(
      ...this.#processes.map(({ tick }) => (tick.open === 0 ? Infinity : tick.received / tick.open)),
    );
  }

  /** Opens the streams of a group; resolves when each is open or has failed. */
  async open(group: string, options: GroupOptions): Promise<void> {
    const count = this.#processes.length;
    const sources = sourcesFor(options.target.address, options.streams);
    let first = 0;
    await Promise.all(
      this.#processes.map((process, index) => {
        const streams = share(options.streams, count, index);
        const from = first;
        first += streams;
        return process.call("open", {
          ...options,
          group,
          sources,
          streams,
          paths: options.paths.length === 1 ? options.paths : options.paths.slice(from, first),
          firstChannel: options.ownChannels
            ? options.firstChannel + from * options.channels
            : options.firstChannel,
          inFlight: Math.max(1, share(options.inFlight, count, index)),
        });
      }),
    );
  }

  async disconnect(group: string): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.call("disconnect", { group })));
  }

  async reconnect(group: string, inFlight: number): Promise<void> {
    const count = this.#processes.length;
    await Promise.all(
      this.#processes.map((process, index) =>
        process.call("reconnect", { group, inFlight: Math.max(1, share(inFlight, count, index)) }),
      ),
    );
  }

  /**
   * Opens and closes the streams of a group, over and over.
   *
   * @param duration milliseconds
   * @param interval milliseconds from one connect of a stream to its next
   */
  async churn(group: string, duration: number, interval: number): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.call("churn", { group, duration, interval })));
  }

  /** Begins the measurement: of latencies with what is intended after `from`, of the generator's load now. */
  async measure(from: number): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.call("measure", { from })));
  }

  /** Waits until every open stream has everything, or nothing has come for so many milliseconds; answers whether they have. */
  async finish(group: string, published: Published, within: number): Promise<boolean> {
    const order = { group, counts: published.counts, excused: [...published.excused], within };
    const complete = await Promise.all(this.#processes.map((process) => process.call("finish", order)));
    return complete.every(Boolean);
  }

  load(): Promise<LoadReport[]> {
    return Promise.all(this.#processes.map((process) => process.call("load", null)));
  }

  /** The cursor of a decoded stream. */
  cursor(group: string): Promise<string> {
    return this.#processes[0]!.call("cursor", { group });
  }

  async report(group: string): Promise<GroupResult> {
    const reports = await Promise.all(this.#processes.map((process) => process.call("report", { group })));
    const tally = emptyTally();
    const failures = new Map<string, number>();
    for (const report of reports) {
      addTally(tally, report.tally);
      for (const [reason, count] of Object.entries(report.failures)) {
        failures.set(reason, (failures.get(reason) ?? 0) + count);
      }
    }
    const sum = (key: "open" | "dropped" | "bytes" | "decodedEvents" | "cycles"): number =>
      reports.reduce((total, report) => total + report[key], 0);
    const all = (key: "latency" | "opening" | "gaps"): Histogram =>
      merged(reports.map((report) => report[key]));
    return {
      open: sum("open"),
      failures,
      dropped: sum("dropped"),
      bytes: sum("bytes"),
      decodedEvents: sum("decodedEvents"),
      tally,
      latency: all("latency"),
      opening: all("opening"),
      gaps: all("gaps"),
      lastReceipt: Math.max(...reports.map(({ lastReceipt }) => lastReceipt)),
      lastOpen: Math.max(...reports.map(({ lastOpen }) => lastOpen)),
      cycles: sum("cycles"),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()));
  }

  async #checkClocks(): Promise<void> {
    for (const process of this.#processes) {
      const before = now();
      const clock = await process.call("clock", null);
      const after = now();
      if (clock >= before - CLOCK_TOLERANCE && clock <= after + CLOCK_TOLERANCE) continue;
      const off = Math.round((clock - (before + after) / 2) / 1000);
      throw new Error(`a generator process's clock differs by ${off} ms: latencies would mean nothing`);
    }
  }
}

/** One leaves a core to the server; more than four would only be needed on a machine of its own. */
function defaultProcesses(): number {
  return Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1));
}

function share(total: number, parts: number, index: number): number {
  return Math.floor(((index + 1) * total) / parts) - Math.floor((index * total) / parts);
}

/** Loopback has sixteen million addresses: each has ports of its own. Elsewhere the machine has the addresses it has. */
function sourcesFor(address: string, streams: number): string[] {
  const count = Math.ceil(streams / STREAMS_PER_ADDRESS);
  if (count === 1 || !address.startsWith("127.")) return [];
  return Array.from({ length: count }, (_, index) => `127.0.1.${index + 1}`);
}
