import type { EventLog, NewEvent } from "../src/index.ts";
import { type BrokerLog, openBrokerLog } from "../src/log/broker/broker-log.ts";
import { BrokerRecords } from "./broker-records.ts";
import type { SimulatedNode } from "./node.ts";
import type { Epoch } from "./oracle/chronicle.ts";
import type { Registry } from "./oracle/registry.ts";
import { type BrokerKeeper, SimulatedBroker } from "./simulated-broker.ts";
import type { RunContext } from "./run-context.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const CHECK_EVERY = 1000;
/** How long a broker is away, hangs or refuses, at most, in milliseconds. */
const LONGEST_TROUBLE = 20_000;

/** A copy of what the broker kept, as a replica or a backup has it. */
interface Copy {
  readonly records: BrokerRecords;
  readonly epoch: Epoch;
}

/** A log that several nodes share through a simulated broker. */
export class BrokerStore implements StoreUnderTest, BrokerKeeper {
  readonly #run: RunContext;
  readonly #registry: Registry;
  readonly #broker: SimulatedBroker;
  records: BrokerRecords | null = null;
  #copy: Copy | null = null;
  #marks = 0;
  /** The epochs that each node has been in. */
  readonly #seen = new Map<SimulatedNode, Set<string>>();
  /** The nodes that can find out that the store has lost events, which nobody has yet. */
  #witnesses: Set<SimulatedNode> | null = null;
  /** They know it by its epoch, which they have left. */
  #isLeft = false;

  constructor(run: RunContext, registry: Registry) {
    this.#run = run;
    this.#registry = registry;
    this.#broker = new SimulatedBroker(run, this);
    run.chronicle.isShared = true;
  }

  get #now(): number {
    return this.#run.date + this.#run.scheduler.now;
  }

  async open(node: SimulatedNode): Promise<EventLog> {
    const { config, random } = this.#run;
    this.#seen.set(node, new Set());
    return await openBrokerLog(this.#broker.from(node), config.retention, {
      window: config.window,
      checkEvery: CHECK_EVERY,
      clock: node.clock,
      date: () => this.#now,
      random: random.next,
    });
  }

  create(epoch: string): void {
    const { chronicle, trace } = this.#run;
    trace.note(" the broker begins", epoch);
    this.records = new BrokerRecords(epoch);
    chronicle.begin(epoch, chronicle.current, 0);
    chronicle.first = 1;
    this.#witnesses = null;
    this.#broker.wake();
  }

  renew(fresh: string): void {
    const { chronicle, trace } = this.#run;
    trace.note(" the broker renews", fresh);
    const records = this.records!;
    records.epoch = fresh;
    records.inherited = records.last;
    chronicle.begin(fresh, chronicle.current, records.last);
    this.#witnesses = null;
    this.#broker.wake();
  }

  append(batch: readonly NewEvent[]): number[] {
    const { config, random, chronicle } = this.#run;
    const records = this.records!;
    records.evict(config.retention, this.#now);
    chronicle.first = records.evicted + 1;
    const known = batch.map((event) => records.published(event));
    const fresh = new Map<string, number>();
    const seqs = batch.map((event, at) => {
      const { topic, key, idempotencyKey, end, data } = event;
      const name = `${topic}\0${idempotencyKey}`;
      const isEndAnew = end && idempotencyKey.endsWith("\0end") && fresh.has(name.slice(0, -4));
      const seq =
        idempotencyKey === "" ? undefined : (fresh.get(name) ?? (isEndAnew ? undefined : known[at]));
      if (seq !== undefined) return seq;
      const next = records.last + 1 + random.below(config.broker.stride);
      records.add(event, next, this.#now, `m${this.#marks++}`);
      if (idempotencyKey !== "") fresh.set(name, next);
      this.#registry.taken({
        seq: next,
        topic,
        key,
        idempotencyKey,
        end,
        text: data,
        size: 0,
        time: this.#now,
      });
      return next;
    });
    records.evict(config.retention, this.#now);
    chronicle.first = records.evicted + 1;
    return seqs;
  }

  disturb(): void {
    const { config, random, scheduler, trace } = this.#run;
    const broker = this.#broker;
    const for_a_while = (undo: () => void): void => {
      scheduler.after(random.below(LONGEST_TROUBLE), "trouble ends", broker, scheduler.line(), undo);
    };
    const what = random.pick(config.misfortunes);
    trace.note(" the broker:", what);
    if (what === "cut") broker.cut(random.chance(0.5));
    else if (what === "down") {
      broker.isDown = true;
      broker.cut(random.chance(0.5));
      for_a_while(() => (broker.isDown = false));
    } else if (what === "hang") {
      broker.isHanging = true;
      for_a_while(() => broker.goOn());
    } else if (what === "refuse") {
      broker.refusal = "no room";
      broker.tellsRefusal = random.chance(0.5);
      for_a_while(() => (broker.refusal = null));
    } else if (this.records === null || this.#witnesses !== null) return;
    else if (what === "copy")
      this.#copy = { records: this.records.copy(), epoch: this.#run.chronicle.current! };
    else if (what === "lose") this.#lose();
    else if (what === "put back") this.#putBack();
    else this.#wipe();
  }

  /** As a failover to a replica that lacked the newest events. */
  #lose(): void {
    const { random, chronicle, trace, config } = this.#run;
    if (!config.broker.isLinked) return; // such a broker has a quorum, or all is over
    const records = this.records!;
    const current = chronicle.current!;
    const copy = records.copy();
    // A node that has not read them yet goes on as if nothing had happened.
    const read = Math.min(...[...this.#seen.keys()].map(({ log }) => log?.bounds().last ?? Infinity));
    const unread = records.records.filter(({ seq }) => seq > read).length;
    const last = copy.lose(unread > 0 && random.chance(0.5) ? unread : 1 + random.below(3));
    if (last < current.inherited || last === records.last) return; // of what an epoch inherits nothing is lost
    trace.note(" lost after", last);
    this.#replace(
      copy,
      current,
      last,
      ({ log, lastKnown }) => log!.bounds().epoch === current.name && lastKnown > last,
    );
  }

  /** An older copy of the log is put back, whatever epoch it was of. */
  #putBack(): void {
    const copy = this.#copy;
    const { current } = this.#run.chronicle;
    if (copy === null) this.#copy = { records: this.records!.copy(), epoch: current! };
    if (copy === null || copy.epoch.lost.length > 0) return; // of which events it has a copy is not known any more
    const { records, epoch } = copy;
    if (epoch === current && (records.last === this.records!.last || !this.#run.config.broker.isLinked))
      return;
    this.#copy = null;
    const sees = (node: SimulatedNode): boolean =>
      epoch === current
        ? node.log!.bounds().epoch === epoch.name && node.lastKnown > records.last
        : this.#seen.get(node)!.has(epoch.name) && node.log!.bounds().epoch !== epoch.name;
    this.#replace(records, epoch, records.last, sees);
  }

  /** The store has other records from now on, and some live node has to know better. */
  #replace(records: BrokerRecords, epoch: Epoch, last: number, sees: (node: SimulatedNode) => boolean): void {
    const { chronicle, random } = this.#run;
    const { current } = chronicle;
    const live = [...this.#seen.keys()].filter((node) => !node.isGone && node.log !== null);
    const witnesses = live.filter((node) => !node.isClosing && sees(node));
    if (witnesses.length === 0 && epoch !== current) return; // nobody could ever tell
    this.records = records;
    chronicle.restore(epoch, last, true); // clients can know of what no node does any more
    chronicle.first = records.evicted + 1;
    this.#registry.lost();
    this.#isLeft = epoch !== current;
    if (witnesses.length > 0) this.#witnesses = new Set(witnesses);
    // Answers on their way tell of what is lost: then more nodes know.
    const isSecret = witnesses.length === 0;
    if (isSecret || random.chance(0.3)) this.#broker.cut(isSecret);
    this.#broker.wake();
  }

  #wipe(): void {
    const { chronicle } = this.#run;
    this.records = null;
    chronicle.first = Infinity;
    this.#registry.lost();
    this.#broker.wake();
  }

  heal(): void {
    this.#broker.isDown = false;
    this.#broker.refusal = null;
    this.#broker.goOn();
  }

  stopped(node: SimulatedNode): void {
    this.#seen.delete(node);
  }

  maySpare(node: SimulatedNode): boolean {
    return this.#witnesses === null || !this.#witnesses.has(node);
  }

  /** A question that failed is asked again after a pause. */
  readonly isPrompt = false;

  isWell(node: SimulatedNode): boolean {
    const { records } = this;
    const broker = this.#broker;
    const log = node.log as BrokerLog;
    if (records === null || this.#witnesses !== null || broker.isDown || broker.isHanging) return false;
    const { epoch, last } = log.bounds();
    return log.connection.up && records.epoch === epoch && records.last === last;
  }

  check(): void {
    const { chronicle, config } = this.#run;
    this.records?.evict(config.retention, this.#now);
    if (this.records !== null) chronicle.first = this.records.evicted + 1;
    for (const [node, epochs] of this.#seen) if (node.log !== null) epochs.add(node.log.bounds().epoch);
    if (this.#witnesses === null || this.#isLeft) return;
    // Who comes back when all that it had seen is evicted has nothing to compare any more.
    for (const node of this.#witnesses)
      if (this.records === null || node.log!.bounds().last <= this.records.evicted)
        this.#witnesses.delete(node);
    if (this.#witnesses.size === 0) this.#witnesses = null;
  }

  checkAtEnd(): void {
    this.#run.verdict.holds(
      this.#witnesses === null,
      "ids",
      () => "the log has lost events, and goes on in its epoch",
    );
  }

  dispose(): void {}
}
