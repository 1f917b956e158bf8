import type { NewEvent, SelectorSet } from "../src/index.ts";
import {
  type Broker,
  type BrokerAppend,
  type BrokerPage,
  type BrokerPosition,
  type BrokerQuestion,
  type BrokerRecord,
  BrokerRefusal,
  type BrokerSession,
  type BrokerState,
  EpochMismatch,
} from "../src/log/broker/broker.ts";
import type { BrokerRecords } from "./broker-records.ts";
import type { SimulatedNode } from "./node.ts";
import type { Line, Owner } from "./scheduler.ts";
import type { RunContext } from "./run-context.ts";

/** How long a client of a broker waits for a connection, in milliseconds. */
const CONNECTED_WITHIN = 3000;

/** Who changes what a broker keeps. */
export interface BrokerKeeper {
  /** Null: there is no log. */
  records: BrokerRecords | null;
  create(epoch: string): void;
  renew(fresh: string): void;
  append(batch: readonly NewEvent[]): number[];
}

/**
 * A broker and the network to it. A question travels, is answered of one moment, and the answer travels back; on each way it can be
 * overtaken, be late, or be lost with the connection.
 */
export class SimulatedBroker implements Owner {
  readonly name = "broker";
  isGone = false;
  readonly run: RunContext;
  readonly keeper: BrokerKeeper;
  isDown = false;
  /** Takes questions, and answers none until it is well again. */
  isHanging = false;
  /** Why it takes no events. */
  refusal: string | null = null;
  /** Says so when it is asked for its state, and not only when it is given events. */
  tellsRefusal = true;
  readonly sessions = new Set<SimulatedSession>();
  #held: (() => void)[] = [];
  #waiting = new Set<() => void>();

  constructor(run: RunContext, keeper: BrokerKeeper) {
    this.run = run;
    this.keeper = keeper;
  }

  /** The broker as one node reaches it. */
  from(node: SimulatedNode): Broker {
    return {
      name: "the broker",
      maxAppend: this.run.config.broker.maxAppend,
      connect: () =>
        new Promise((resolve, reject) => {
          const { scheduler } = this.run;
          scheduler.after(CONNECTED_WITHIN, "no connection", node, scheduler.line(), () =>
            reject(new Error("timeout")),
          );
          this.arrive(scheduler.line(), () => {
            if (this.isDown)
              scheduler.post("no connection", node, () => reject(new Error("connection refused")));
            else {
              const session = new SimulatedSession(this, node);
              this.sessions.add(session);
              scheduler.post("connected", node, () => resolve(session));
            }
          });
        }),
    };
  }

  /** Something reaches the broker, which may hang. */
  arrive(line: Line, run: () => void): void {
    line.post("to broker", this, () => {
      if (this.isHanging) this.#held.push(run);
      else run();
    });
  }

  /** Answers everything that it was asked while it hung. */
  goOn(): void {
    this.isHanging = false;
    for (const run of this.#held.splice(0)) run();
  }

  /** There are new events, or another log. */
  wake(): void {
    for (const look of this.#waiting) look();
  }

  /** @returns ends it */
  wait(look: () => void): () => void {
    this.#waiting.add(look);
    return () => this.#waiting.delete(look);
  }

  /** All connections are lost. @param isClean no answer that is on its way arrives any more */
  cut(isClean: boolean): void {
    for (const session of this.sessions) session.break(isClean);
  }
}

class SimulatedSession implements BrokerSession {
  readonly #broker: SimulatedBroker;
  readonly #node: SimulatedNode;
  readonly #appends: Line;
  readonly #answers: Line;
  readonly #pending = new Set<(error: Error) => void>();
  #isBroken = false;
  #stopWaiting = (): void => {};

  constructor(broker: SimulatedBroker, node: SimulatedNode) {
    this.#broker = broker;
    this.#node = node;
    this.#appends = broker.run.scheduler.line();
    this.#answers = broker.run.scheduler.line();
  }

  /** @param isAppend comes, and is answered, in the order of appends */
  #ask<T>(question: (records: BrokerRecords | null) => T, isAppend = false): Promise<T> {
    const { run } = this.#broker;
    const { scheduler } = run;
    return new Promise((resolve, reject) => {
      if (this.#isBroken || this.#node.isGone) {
        reject(new Error("the connection is closed"));
        return;
      }
      this.#pending.add(reject);
      this.#broker.arrive(isAppend ? this.#appends : scheduler.line(), () => {
        // What was sent can arrive although nobody waits for the answer any more.
        if (this.#broker.isDown || (this.#isBroken && !run.random.chance(0.5))) {
          this.break();
          return;
        }
        let answer: () => void;
        try {
          const found = question(this.#broker.keeper.records);
          answer = () => resolve(found);
        } catch (error) {
          answer = () => reject(error);
        }
        (isAppend ? this.#answers : scheduler.line()).post("from broker", this.#node, () => {
          if (this.#pending.delete(reject)) answer();
        });
      });
    });
  }

  /** The connection is lost: what has no answer yet has none. */
  break(isClean = false): void {
    this.#isBroken = true;
    this.#broker.sessions.delete(this);
    this.#stopWaiting();
    for (const reject of this.#pending) {
      if (isClean) this.#pending.delete(reject);
      this.#broker.run.scheduler.post("lost", this.#node, () => {
        if (isClean || this.#pending.delete(reject)) reject(new Error("the connection is lost"));
      });
    }
  }

  close(): void {
    if (!this.#isBroken) this.break();
  }

  state(seen: number): Promise<BrokerState | null> {
    const { refusal, tellsRefusal, run } = this.#broker;
    return this.#ask(
      (records) => records?.state(seen, run.config.broker.recent, tellsRefusal ? refusal : null) ?? null,
    );
  }

  create(epoch: string): Promise<void> {
    return this.#ask((records) => {
      if (records === null) this.#broker.keeper.create(epoch);
    });
  }

  renew(epoch: string, fresh: string): Promise<void> {
    return this.#ask((records) => {
      if (records?.epoch === epoch) this.#broker.keeper.renew(fresh);
    });
  }

  append(epoch: string, seen: number, batch: readonly NewEvent[]): Promise<BrokerAppend> {
    return this.#ask((found) => {
      const records = inEpoch(found, epoch);
      if (records.last < seen) throw new EpochMismatch("the log has lost its end");
      if (this.#broker.refusal !== null) throw new BrokerRefusal(this.#broker.refusal);
      const cursors = this.#broker.keeper.append(batch);
      this.#broker.wake();
      return { cursors, mark: records.state(Math.max(...cursors), 0, null).mark };
    }, true);
  }

  page(
    epoch: string,
    after: number,
    selectors: SelectorSet,
    limits: { bytes: number; upTo: number; latest: boolean },
  ): Promise<BrokerPage> {
    return this.#ask((records) => inEpoch(records, epoch).page(after, selectors, limits));
  }

  position(epoch: string, question: BrokerQuestion): Promise<BrokerPosition> {
    return this.#ask((records) => inEpoch(records, epoch).position(question));
  }

  async next(
    epoch: string,
    after: number,
    wait: number,
  ): Promise<{ from: number; kept: readonly BrokerRecord[] }> {
    // The broker holds the question until there is something; then it takes it like any other.
    const first = await this.#ask((records) => this.#after(records, epoch, after));
    if (first !== null) return first;
    if (this.#isBroken) throw new Error("the connection is closed");
    await new Promise<void>((resolve) => {
      const { run } = this.#broker;
      const done = (): void => {
        cancel();
        stop();
        resolve();
      };
      const cancel = run.scheduler.after(wait, "waited", this.#node, run.scheduler.line(), done);
      const stop = this.#broker.wait(() => run.scheduler.post("wake", this.#node, done));
      this.#stopWaiting = done;
    });
    const then = await this.#ask((records) => this.#after(records, epoch, after));
    return then ?? { from: after, kept: [] };
  }

  /** Null: there is nothing yet. */
  #after(
    records: BrokerRecords | null,
    epoch: string,
    after: number,
  ): { from: number; kept: readonly BrokerRecord[] } | null {
    const { evicted, records: all } = inEpoch(records, epoch);
    const from = Math.max(after, evicted);
    const { random, config } = this.#broker.run;
    const some = all.filter(({ seq }) => seq > from).slice(0, 1 + random.below(20));
    if (some.length === 0 && from === after) return null;
    // Not every broker tells what an event follows.
    return { from, kept: config.broker.isLinked ? some : some.map(unlinked) };
  }
}

function unlinked({ seq, time, mark, event }: BrokerRecord): BrokerRecord {
  return { seq, time, mark, event };
}

function inEpoch(records: BrokerRecords | null, epoch: string): BrokerRecords {
  if (records?.epoch !== epoch) throw new EpochMismatch("the log is in another epoch");
  return records;
}
