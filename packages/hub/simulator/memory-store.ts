import { type EventLog, MemoryLog } from "../src/index.ts";
import { LateLog } from "./late-log.ts";
import type { SimulatedNode } from "./node.ts";
import type { Registry } from "./oracle/registry.ts";
import { RetentionModel } from "./oracle/retention.ts";
import type { RunContext } from "./run-context.ts";
import type { StoreUnderTest } from "./store-under-test.ts";
import { followTail } from "./tail-follower.ts";

/** The memory of one process: gone with it, and now and then taken from under its hub. */
export class MemoryStore implements StoreUnderTest {
  readonly #run: RunContext;
  readonly #registry: Registry;
  #node: SimulatedNode | null = null;
  #log: MemoryLog | null = null;
  #late: LateLog | null = null;
  #model: RetentionModel | null = null;

  constructor(run: RunContext, registry: Registry) {
    this.#run = run;
    this.#registry = registry;
  }

  open(node: SimulatedNode): EventLog {
    this.#node = node;
    return (this.#late = new LateLog(this.#make(node), this.#run, node));
  }

  #make(node: SimulatedNode): MemoryLog {
    const { config, random, chronicle } = this.#run;
    const { retention } = config;
    const log = new MemoryLog({ ...retention, clock: node.clock, random: random.next });
    chronicle.begin(log.bounds().epoch, null, 0);
    chronicle.first = 1;
    this.#registry.lost();
    const model = new RetentionModel(retention, 0);
    const evict = (): void => {
      model.evict(node.clock.now());
      chronicle.first = chronicle.firstDue = model.first;
    };
    evict();
    followTail(log, this.#registry, chronicle, {
      before: evict,
      time: () => node.clock.now(),
      each: (event) => model.add(event),
      after: evict,
    });
    this.#log = log;
    this.#model = model;
    return log;
  }

  disturb(): void {
    if (this.#node?.hub == null) return;
    const log = this.#make(this.#node);
    this.#late!.replace(log);
  }

  heal(): void {}
  stopped(): void {
    this.#log = null;
  }
  maySpare(): boolean {
    return true;
  }
  readonly isPrompt = true;
  isWell(): boolean {
    return true;
  }

  check(): void {
    if (this.#log === null) return;
    const model = this.#model!;
    model.evict(this.#node!.clock.now());
    this.#run.chronicle.first = this.#run.chronicle.firstDue = model.first;
    if (!this.#run.config.isWatched && !this.#run.isCalm) return;
    const { first, events, bytes } = this.#log.bounds();
    this.#run.verdict.holds(
      first === model.first && events === model.events && bytes === model.bytes,
      "retention",
      () =>
        `the log holds ${events} events of ${bytes} bytes from ${first} on, and should ${model.events} of ${model.bytes} from ${model.first} on`,
    );
  }

  checkAtEnd(): void {
    this.check();
  }
  dispose(): void {}
}
