import type { EventLog } from "../src/index.ts";
import { SqliteLog } from "../src/log/sqlite/sqlite-log.ts";
import { LateLog } from "./late-log.ts";
import type { SimulatedNode } from "./node.ts";
import { nameOf } from "./oracle/chronicle.ts";
import type { Registry } from "./oracle/registry.ts";
import { RetentionModel } from "./oracle/retention.ts";
import { failReads, type FileContent, forgetReads, readFile, SimulatedDisk } from "./simulated-disk.ts";
import type { RunContext } from "./run-context.ts";
import type { StoreUnderTest } from "./store-under-test.ts";
import { followTail } from "./tail-follower.ts";

/** How long the disk is full, or fails, at most, in milliseconds. */
const LONGEST_TROUBLE = 10_000;
/** How late it may evict by age, in milliseconds. */
const EVICTED_WITHIN = 1500;
/** From here on the pages of the file count too, which nobody can foretell. */
const SMALL = 400_000;

/** A log in a real SQLite file, whose process is killed, and whose disk fills up, fails, and forgets. */
export class SqliteStore implements StoreUnderTest {
  readonly #run: RunContext;
  readonly #registry: Registry;
  readonly #disk = new SimulatedDisk();
  #node: SimulatedNode | null = null;
  #log: SqliteLog | null = null;
  #model: RetentionModel | null = null;
  #now = (): number => 0;
  /** When the log was given what it has yet to answer: its events are that old, at most, when they are seen. */
  readonly #given = new Set<{ readonly time: number }>();
  /** A copy of the files, and whether a power cut or a copy has taken something away since they were last looked at. */
  #copy: string | null = null;
  #isTorn = false;
  /** What the next process finds instead of what this one has written. */
  #next: string | null = null;
  /** The log could not keep events when it was last looked at, and the disk took none. */
  #failed = false;
  readonly isPrompt: boolean;

  constructor(run: RunContext, registry: Registry) {
    this.#run = run;
    this.#registry = registry;
    this.isPrompt = run.config.weights.store === 0;
  }

  open(node: SimulatedNode): EventLog {
    const { config, random, chronicle } = this.#run;
    const disk = this.#disk;
    const found = readFile(disk.copy());
    if (found !== null) this.#find(found);
    failReads(disk, disk.path);
    const date = (): number => this.#run.date + this.#run.scheduler.now;
    const log = new SqliteLog(disk.path, {
      ...config.retention,
      window: config.window,
      clock: node.clock,
      date,
      random: random.next,
      disk,
    });
    const newest = found?.rows.at(-1)?.time ?? 0;
    const offset = Math.max(date(), newest) - node.clock.now();
    this.#now = () => Math.floor(node.clock.now() + offset);
    this.#node = node;
    this.#log = log;
    this.#given.clear();
    this.#watchAppends(log);
    this.#begin();
    log.tail({ append: () => {}, skip: () => {}, reset: () => this.#begin() });
    const model = new RetentionModel(config.retention, log.bounds().first - 1);
    for (const event of chronicle.current!.between(log.bounds().first - 1, log.bounds().last))
      model.add(event);
    this.#model = model;
    this.#failed = false;
    followTail(log, this.#registry, chronicle, {
      before: () => this.#evict(),
      time: () => Math.min(this.#now(), ...[...this.#given].map(({ time }) => time)),
      each: (event) => model.add(event),
      after: () => {
        this.#evict();
        chronicle.first = log.bounds().first;
      },
    });
    this.#evict();
    return new LateLog(log, this.#run, node);
  }

  #watchAppends(log: SqliteLog): void {
    const append = log.append.bind(log);
    log.append = (batch) => {
      const given = { time: this.#now() };
      this.#given.add(given);
      const done = (): void => void this.#given.delete(given);
      try {
        const answer = append(batch);
        if (answer instanceof Promise) answer.then(done, done);
        else done();
        return answer;
      } catch (error) {
        done();
        throw error;
      }
    };
  }

  /** The epoch in which the log gives numbers now; it is that of before for as long as the disk is full. */
  #begin(): void {
    const { chronicle } = this.#run;
    const { epoch, first, last } = this.#log!.bounds();
    if (chronicle.current?.name !== epoch) chronicle.begin(epoch, chronicle.current, last);
    chronicle.first = first;
  }

  #evict(): void {
    this.#model!.evict(this.#now());
    this.#run.chronicle.firstDue = this.#model!.first;
  }

  /** Holds what is in the file, before it is opened again, against what it was given. */
  #find({ last, epochs, rows }: FileContent): void {
    const { chronicle, verdict } = this.#run;
    const before = chronicle.current;
    const newest = epochs.at(-1);
    if (before === null || newest === undefined) return;
    if (this.#isTorn) {
      const epoch = chronicle.epochs.get(newest);
      if (epoch === undefined)
        verdict.wrong("ids", `the file knows of an epoch ${newest}, and nobody else does`);
      else {
        chronicle.restore(epoch, last, false);
        for (const [at, name] of epochs.entries()) {
          const next = chronicle.epochs.get(epochs[at + 1] ?? "");
          chronicle.regain(chronicle.epochs.get(name)!, next?.inherited ?? last);
        }
      }
      this.#isTorn = false;
    } else if (newest !== before.name || last !== before.last) {
      verdict.wrong(
        "crash",
        `the file has ${newest}-${last}, when ${before.id(before.last)} was the last event`,
      );
    }
    this.#registry.lost();
    let expected = rows[0]?.seq ?? last + 1;
    for (const { seq, topic, data } of rows) {
      const event = chronicle.current!.find(seq);
      const isIt = event?.topic === topic && (event.end || event.data === data.replace(/\r\n|\r/g, "\n"));
      if (seq !== expected++ || !isIt) {
        verdict.wrong(
          "crash",
          `${seq} of the file is ${topic} (${data}), and not ${event === undefined ? "" : nameOf(event)}`,
        );
        return;
      }
    }
    if (expected !== last + 1) verdict.wrong("crash", `the file ends with ${expected - 1}, and says ${last}`);
  }

  disturb(): void {
    const { config, random, scheduler, trace } = this.#run;
    const disk = this.#disk;
    const what = random.pick(config.misfortunes);
    trace.note(" the disk:", what);
    const forAWhile = (undo: () => void): void => {
      const owner = { name: "disk", isGone: false };
      scheduler.after(random.below(LONGEST_TROUBLE), "trouble ends", owner, scheduler.line(), undo);
    };
    if (what === "full") {
      disk.failure = "SQLITE_FULL";
      forAWhile(() => (disk.failure = null));
    } else if (what === "no room") {
      disk.isFull = true;
      forAWhile(() => (disk.isFull = false));
    } else if (what === "write") {
      disk.failure = "SQLITE_IOERR_WRITE";
      forAWhile(() => (disk.failure = null));
    } else if (what === "read") {
      disk.isUnreadable = true;
      forAWhile(() => (disk.isUnreadable = false));
    } else if (this.#log === null || this.#node!.isClosing) return;
    else if (what === "copy") this.#copy = disk.copy();
    else if (what === "delete -wal") {
      disk.deleteWal();
      this.#isTorn = true; // until the log has seen it
    } else {
      if (what === "put back" && this.#copy === null) return;
      const path = what === "put back" ? this.#copy! : disk.copy();
      if (what === "power") disk.tear(path, random);
      this.#copy = null;
      this.#isTorn = true;
      this.#next = path;
      this.#node!.crash();
    }
  }

  stopped(_node: SimulatedNode, how: "crashed" | "closed"): void {
    if (this.#log === null) return;
    if (how === "closed") {
      this.#log = null;
      this.#isTorn = false; // it has written everything to the file
      return;
    }
    const disk = this.#disk;
    // What a process has written is there when it is killed: the next one finds these files.
    const path = this.#next ?? disk.copy();
    this.#next = null;
    const old = this.#log;
    this.#log = null;
    disk.failure = null;
    forgetReads(disk.path);
    old.close();
    disk.path = path;
  }

  heal(): void {
    this.#disk.failure = null;
    this.#disk.isFull = false;
    this.#disk.isUnreadable = false;
  }

  maySpare(): boolean {
    return true;
  }

  isWell(): boolean {
    return this.#log !== null && this.#log.fault === null && !this.#disk.isUnreadable;
  }

  check(): void {
    if (this.#log === null) return;
    this.#evict();
    const { first, last, events } = this.#log.bounds();
    const { chronicle, verdict } = this.#run;
    chronicle.first = first;
    verdict.holds(
      events === last - first + 1,
      "retention",
      () => `${events} events from ${first} to ${last}`,
    );
    const model = this.#model!;
    const { fault } = this.#log;
    const { failure } = this.#disk;
    if (this.#failed && fault === null && failure !== null)
      verdict.wrong("fault", "the log says that it can keep events, and the disk takes none");
    this.#failed = fault !== null && failure !== null;
    if (first > model.first && model.bytes < SMALL)
      verdict.wrong("retention", `everything before ${first} is gone, when ${model.first} might stay`);
  }

  checkAtEnd(): void {
    if (this.#log === null || this.#model!.bytes > SMALL) return;
    const { first, last, events, bytes } = this.#log.bounds();
    const { maxEvents, maxBytes, maxAge } = this.#run.config.retention;
    const oldest = first > last ? Infinity : this.#run.chronicle.current!.find(first)!.time;
    const age = this.#now() - oldest;
    if (events > maxEvents || bytes > maxBytes || age > maxAge + EVICTED_WITHIN)
      this.#run.verdict.wrong(
        "retention",
        `there are still ${events} events of ${bytes} bytes, the oldest of ${age} ms`,
      );
  }

  dispose(): void {
    if (this.#log !== null) {
      this.heal();
      this.#log.close();
    }
    forgetReads(this.#disk.path);
    this.#disk.dispose();
  }
}
