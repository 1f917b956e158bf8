import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { newEvent } from "../../testing/log-contract.ts";
import { parseTopic, type Topic } from "../../topics/topic.ts";
import type { BrokerRecord } from "../broker/broker.ts";
import type { Cursor } from "../event-id.ts";
import { ENDS } from "../retention.ts";
import { type Changes, EndedTopics, MOST_ROWS } from "./ended-topics.ts";

setDefaultTimeout(60_000);

const TOPICS = ["a", "b", "c"].map(parseTopic);
const EPOCH = "epoch";

function record(seq: Cursor, topic: Topic, end: boolean, time = 1): BrokerRecord {
  return { seq, time, mark: "", event: newEvent(topic, "", { end }) };
}

/** As the stream keeps them: changes without rows are replaced. */
class Saved {
  all: Changes[] = [];

  write(changes: Changes): void {
    if (changes.rows.length === 0) this.all = this.all.filter(({ rows }) => rows.length > 0);
    this.all.push(changes);
  }
}

interface Node {
  table: EndedTopics;
  /** Changes on their way. */
  late: Changes[];
}

/** Nodes that share a log and what they have saved of it, with everything that can go wrong. */
class Model {
  readonly log: BrokerRecord[] = [];
  readonly saved = new Saved();
  readonly nodes: Node[] = [0, 1].map(() => ({ table: new EndedTopics(EPOCH, 0), late: [] }));
  evicted: Cursor = 0;
  #time = 1;

  get last(): Cursor {
    return this.log.length;
  }

  readonly steps: Record<string, (node: Node, amount: number) => void> = {
    publish: (_, amount) => this.append(TOPICS[amount % 3]!, false),
    end: (_, amount) => this.append(TOPICS[amount % 3]!, true),
    wait: (_, amount) => void (this.#time += (amount * ENDS.age) / 10),
    read: (node, amount) => {
      const { table } = node;
      if (table.upTo < this.evicted) node.table = new EndedTopics(EPOCH, this.evicted);
      else table.take(this.log.slice(table.upTo, table.upTo + 2 * amount));
    },
    readAgain: ({ table }, amount) => {
      table.take(this.log.slice(Math.max(0, table.upTo - 2 * amount), table.upTo - amount));
    },
    evict: (_, amount) => void (this.evicted = Math.min(this.last, this.evicted + amount)),
    save: ({ table }) => this.save(table, (changes) => this.saved.write(changes)),
    saveLate: ({ table, late }) => this.save(table, (changes) => late.push(changes)),
    arrive: ({ late }) => late.splice(0, 1).forEach((changes) => this.saved.write(changes)),
    restart: (node) => {
      const table = EndedTopics.replay(EPOCH, this.saved.all);
      const isUsable = this.saved.all.length > 0 && table.upTo >= this.evicted;
      node.table = isUsable ? table : new EndedTopics(EPOCH, this.last);
    },
    restartBlind: (node, amount) => {
      node.table = new EndedTopics(EPOCH, Math.max(this.evicted, this.last - amount));
    },
    forgetOldest: (_, amount) => void this.saved.all.splice(0, Math.ceil(amount / 4)),
    loseNewest: (_, amount) => void this.saved.all.splice(-Math.ceil(amount / 4)),
  };

  append(topic: Topic, end: boolean): void {
    this.log.push(record(this.last + 1, topic, end, this.#time));
  }

  save(table: EndedTopics, write: (changes: Changes) => void): void {
    const changes = table.unsaved();
    if (changes === null) return;
    const newest = this.saved.all.at(-1);
    if (newest !== undefined && newest.upTo > table.savedUpTo) return table.noteSaved(newest);
    write(changes);
    table.noteSaved(changes);
  }

  /** The end of the topic, as of a cursor. */
  truth(topic: Topic, upTo: Cursor): Cursor {
    const newest = this.log.findLast(({ seq, event }) => seq <= upTo && event.topic === topic);
    return newest?.event.end === true ? newest.seq : 0;
  }

  check(): void {
    for (const { table } of this.nodes) {
      for (const topic of TOPICS) {
        const said = table.end(topic, this.evicted);
        const truth = this.truth(topic, table.upTo);
        if (said === undefined || said === truth) continue;
        // An end that is evicted may be forgotten; never is one made up.
        expect({ said, isEvicted: truth <= this.evicted }).toEqual({ said: 0, isEvicted: true });
      }
    }
  }
}

describe("EndedTopics", () => {
  test("never takes a topic for ended that goes on, whatever dies, is late or is lost", () => {
    const often = ["publish", "end", "read", "save"];
    const names = [...often, ...often, ...often, ...Object.keys(new Model().steps)];
    const step = fc.tuple(fc.constantFrom(...names), fc.nat(1), fc.integer({ min: 1, max: 6 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
        const model = new Model();
        for (const [name, node, amount] of steps) {
          model.steps[name]!(model.nodes[node]!, amount);
          model.check();
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("knows everything again after a restart, when nothing was lost", () => {
    const step = fc.tuple(
      fc.constantFrom("publish", "end", "read", "save", "restart"),
      fc.nat(1),
      fc.integer({ min: 1, max: 6 }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const model = new Model();
        for (const [name, node, amount] of steps) {
          // Evicted as far as everybody has read, and knows that it is saved.
          const cursors = model.nodes.flatMap(({ table }) => [table.upTo, table.savedUpTo]);
          if (name === "restart") model.evicted = Math.min(...cursors);
          if (name !== "restart" || model.saved.all.length > 0)
            model.steps[name]!(model.nodes[node]!, amount);
          for (const { table } of model.nodes) {
            for (const topic of TOPICS) expect(table.end(topic, 0) ?? 0).toBe(model.truth(topic, table.upTo));
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  const many = (count: number): BrokerRecord[] =>
    Array.from({ length: count }, (_, at) => record(at + 1, parseTopic(`t/${at + 1}`), true));
  const saveAll = (table: EndedTopics): Changes[] => {
    const all: Changes[] = [];
    for (let changes = table.unsaved(); changes !== null; changes = table.unsaved()) {
      all.push(changes);
      table.noteSaved(changes);
    }
    return all;
  };

  test("saves many changes in parts, each of which can be the last one", () => {
    const table = new EndedTopics(EPOCH, 0);
    const count = 2 * MOST_ROWS + 10;
    table.take([...many(count - 1), record(count, parseTopic("t/1"), true)]);
    const saved = saveAll(table);
    const seqs = saved.flatMap(({ rows }) => rows.map(([, seq]) => seq));
    expect(seqs).toEqual(Array.from({ length: count - 1 }, (_, at) => at + 2));
    expect(saved.map(({ rows }) => rows.length)).toEqual([MOST_ROWS, MOST_ROWS, 9]);
    for (let parts = 1; parts <= saved.length; parts++) {
      const replayed = EndedTopics.replay(EPOCH, saved.slice(0, parts));
      const upTo = Math.min(count, parts * MOST_ROWS + 1);
      expect(replayed.upTo).toBe(upTo);
      expect(replayed.end(parseTopic(`t/${upTo === count ? 1 : upTo}`), 0)).toBe(upTo);
    }
  });

  test("drops the oldest beyond its bound, also for those who replay it", () => {
    const table = new EndedTopics(EPOCH, 0);
    const count = ENDS.topics + 5;
    table.take(many(count).slice(0, -5));
    const saved = saveAll(table);
    table.take(many(count).slice(-5));
    saved.push(...saveAll(table));
    table.take([record(count + 1, parseTopic("t/1"), false), record(count + 2, parseTopic("x"), true)]);
    saved.push(...saveAll(table));
    for (const each of [table, EndedTopics.replay(EPOCH, saved)]) {
      const end = (name: string) => each.end(parseTopic(name), 0);
      expect(["t/1", "t/6", "t/7", "x"].map(end)).toEqual([undefined, undefined, 7, count + 2]);
    }
  });

  test("does not join what it could not save to what it saved before", () => {
    const table = new EndedTopics(EPOCH, 0);
    table.take([record(1, parseTopic("t"), true)]);
    const saved = saveAll(table);
    table.take([record(2, parseTopic("t"), false)]);
    const shortLived = Array.from({ length: 2 * ENDS.topics + 10 }, (_, at) =>
      record(at + 3, parseTopic(`t/${at >> 1}`), at % 2 === 0),
    );
    table.take(shortLived);
    saved.push(...saveAll(table));
    expect(EndedTopics.replay(EPOCH, saved).end(parseTopic("t"), 0)).toBeUndefined();
  });
});
