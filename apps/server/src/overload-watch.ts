import { readFileSync, readdirSync, statSync } from "node:fs";
import type { Overload } from "@sse/http";
import { systemClock, type Clock } from "@sse/hub";
import type { Logger } from "./logger.ts";

/** What the process may use before new streams are sent away; null: is not looked at. Bytes, and milliseconds. */
export interface OverloadLimits {
  readonly maxDescriptors: number | null;
  readonly maxMemory: number | null;
  readonly maxLag: number | null;
}

type Resource = Overload["reason"];

/** What the process uses. Injected, so that tests need not use it. */
export type Usage = Readonly<Record<Exclude<Resource, "lag">, () => number>>;

const SAMPLE_EVERY = 250;
/** Samples over the limit before streams are sent away: one late turn is a garbage collection, two are too much work. */
const PATIENCE: Readonly<Record<Resource, number>> = { descriptors: 1, memory: 1, lag: 2 };
/** A resource is free again when for so many samples less than this part of its limit was used: the door must not flap. */
const FREE = 0.9;
const CALM_SAMPLES = 4;
/** How often the collector is run, in milliseconds, while memory is short: it would wait for work that is sent away. */
const COLLECT_EVERY = 5000;

/**
 * Watches whether the process has room for new streams: files that it may open, memory, and how late its event loop is.
 * Streams that run are not touched, and give back what they use as they go.
 */
export class OverloadWatch {
  readonly #limits: Readonly<Record<Resource, number | null>>;
  readonly #usage: Usage;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #over = new Set<Resource>();
  /** Samples one after the other that were over the limit, and that were well below it. */
  readonly #high: Record<Resource, number> = { descriptors: 0, memory: 0, lag: 0 };
  readonly #calm: Record<Resource, number> = { descriptors: 0, memory: 0, lag: 0 };
  readonly #stop: () => void;
  #sampled: number;
  #collected = -Infinity;

  constructor(
    { maxDescriptors, maxMemory, maxLag }: OverloadLimits,
    logger: Logger,
    { usage = PROCESS, clock = systemClock }: { usage?: Usage; clock?: Clock } = {},
  ) {
    this.#limits = { descriptors: maxDescriptors, memory: maxMemory, lag: maxLag };
    this.#usage = usage;
    this.#clock = clock;
    this.#logger = logger;
    this.#sampled = clock.now();
    this.#stop = clock.every(SAMPLE_EVERY, () => this.#sample());
  }

  /** Why no new stream is taken now. Bound, to be handed on; asked for every connect, for a microsecond. */
  readonly current = (): Overload | null => {
    // Thousands can come between two samples, and the process can do nothing without a descriptor.
    const { descriptors: limit } = this.#limits;
    if (limit !== null && !this.#over.has("descriptors")) {
      const used = this.#usage.descriptors();
      if (used >= limit) this.#enter("descriptors", used);
    }
    if (this.#over.size === 0) return null;
    const [reason] = this.#over;
    return { reason: reason!, detail: `${DETAILS[reason!]}; no new streams are taken now, come back later` };
  };

  /** 1 for each resource that is short, else 0. */
  get state(): Record<Resource, number> {
    const state = (resource: Resource): number => (this.#over.has(resource) ? 1 : 0);
    return { descriptors: state("descriptors"), memory: state("memory"), lag: state("lag") };
  }

  stop(): void {
    this.#stop();
  }

  #sample(): void {
    const now = this.#clock.now();
    this.#judge("lag", now - this.#sampled - SAMPLE_EVERY);
    this.#judge("descriptors", this.#usage.descriptors());
    this.#judge("memory", this.#usage.memory());
    this.#sampled = now;
    if (this.#over.has("memory") && now - this.#collected >= COLLECT_EVERY) {
      this.#collected = now;
      Bun.gc(true);
      Bun.shrink();
    }
  }

  #judge(resource: Resource, used: number): void {
    const limit = this.#limits[resource] ?? Infinity;
    this.#high[resource] = used >= limit ? this.#high[resource] + 1 : 0;
    this.#calm[resource] = used < limit * FREE ? this.#calm[resource] + 1 : 0;
    const isOver = this.#over.has(resource);
    if (!isOver && this.#high[resource] >= PATIENCE[resource]) this.#enter(resource, used);
    if (!isOver || this.#calm[resource] < CALM_SAMPLES) return;
    this.#over.delete(resource);
    this.#logger.info("takes new streams again", { reason: resource });
  }

  #enter(resource: Resource, used: number): void {
    this.#over.add(resource);
    this.#calm[resource] = 0;
    const limit = this.#limits[resource];
    this.#logger.warn("sends new streams away", { reason: resource, used: Math.round(used), limit });
  }
}

const DETAILS: Readonly<Record<Resource, string>> = {
  descriptors: "the process has nearly all the connections that it may open",
  memory: "the process uses all the memory that it may",
  lag: "the process has more to do than it can",
};

const DESCRIPTORS = "/proc/self/fd";
/** Since Linux 6.2 the size of the directory is the number of its entries. Before, they are counted, but not each time. */
const hasCount = process.platform === "linux" && statSync(DESCRIPTORS).size > 0;
const COUNT_EVERY = 1000;
let counted = { at: -Infinity, descriptors: 0 };

function descriptors(): number {
  if (process.platform !== "linux") return 0;
  if (hasCount) return statSync(DESCRIPTORS).size;
  const now = performance.now();
  if (now - counted.at > COUNT_EVERY) counted = { at: now, descriptors: countDescriptors() };
  return counted.descriptors;
}

function countDescriptors(): number {
  try {
    return readdirSync(DESCRIPTORS).length;
  } catch {
    return Infinity; // there is none left to look with
  }
}

let lastMemory = 0;

/** The process's memory in bytes. To read it takes a descriptor; while there is none, it is what it was last. */
export function residentMemory(): number {
  try {
    lastMemory = process.memoryUsage.rss();
  } catch {
    // As it was.
  }
  return lastMemory;
}

const PROCESS: Usage = { descriptors, memory: residentMemory };

/** How many files the process may open, its connections among them; null when that cannot be found out. */
export function descriptorLimit(): number | null {
  if (process.platform !== "linux") return null;
  const soft = /^Max open files\s+([0-9]+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return soft === undefined ? null : Number(soft);
}

/** The bytes that the machine has, or that its container may use. */
export function memoryLimit(): number {
  return process.constrainedMemory();
}
