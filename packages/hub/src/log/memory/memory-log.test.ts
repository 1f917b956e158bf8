import { describe, expect, test } from "bun:test";
import { collectGarbage } from "../../../test/collect-garbage.ts";
import { logContract, newEvent } from "../../testing/log-contract.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { MemoryLog } from "./memory-log.ts";
import { SelectorSet } from "../../topics/topic.ts";

logContract("memory", { open: async (options) => new MemoryLog(options) });

const limits = { bytes: Infinity, upTo: Infinity };
const number = (log: MemoryLog): number => log.bounds().last;

describe("MemoryLog", () => {
  test("evicts by age, also when nothing is appended", async () => {
    const clock = new ManualClock();
    const log = new MemoryLog({ maxAge: 1000, clock });
    log.append([newEvent("a", "1")]);
    await clock.advance(600);
    log.append([newEvent("a", "2")]);
    await clock.advance(600);
    expect(log.bounds().events).toBe(1);
    await clock.advance(600);
    expect(log.bounds().events).toBe(0);
    expect(log.append([newEvent("a", "3")])[0]).toEndWith("-3");
  });

  test("tells no gap to a topic that lost nothing, however much the others lost", () => {
    const log = new MemoryLog({ maxEvents: 10 });
    log.append([newEvent("rare", "1"), newEvent("rare", "2")]);
    const seen = number(log);
    for (let at = 0; at < 100; at++) log.append([newEvent("busy", `${at}`)]);
    const rare = new SelectorSet(["rare"]);
    expect(log.read(seen, rare, limits).from).toBe(seen);
    expect(log.read(seen - 1, rare, limits).from).toBe(seen);
    expect(log.read(seen, new SelectorSet(["rare", "busy"]), limits).from).toBe(seen + 90);
    expect(log.read(seen, new SelectorSet(["*"]), limits).from).toBe(seen + 90);
    expect(log.read(0, new SelectorSet(["never"]), limits).from).toBe(0);
  });

  test("is on the safe side about topics that it has forgotten", () => {
    const log = new MemoryLog({ maxEvents: 1 });
    log.append([newEvent("first", "1")]);
    const seen = number(log);
    for (let at = 0; at < 65_540; at++) log.append([newEvent(`t/${at}`, "x")]);
    expect(log.read(0, new SelectorSet(["first"]), limits).from).toBeGreaterThanOrEqual(seen);
  });

  test("replays a rare topic of a full log without walking the others", () => {
    const log = new MemoryLog({ maxEvents: 50_000 });
    log.append([newEvent("rare", "1")]);
    for (let at = 0; at < 49_000; at++) log.append([newEvent(`busy/${at % 100}`, "x")]);
    let looked = 0;
    class Counting extends SelectorSet {
      override matches(...topic: Parameters<SelectorSet["matches"]>): boolean {
        looked++;
        return super.matches(...topic);
      }
    }
    expect(log.read(0, new Counting(["rare"]), limits).entries.length).toBe(1);
    expect(looked).toBe(0);
    // A pattern looks at a bounded number of events, and says how far it came.
    const { entries, cursor } = log.read(1, new Counting(["nothing/*"]), limits);
    expect({ entries, looked, cursor }).toEqual({ entries: [], looked: 4096, cursor: 4097 });
  });

  test("ends a topic anew with a message whose event was evicted, though its end was not", () => {
    const log = new MemoryLog({ maxEvents: 3 });
    const done = [
      newEvent("j", "Done", { idempotencyKey: "x" }),
      newEvent("j", "", { idempotencyKey: "x\0end", end: true }),
    ];
    const [first, end] = log.append(done);
    log.append([newEvent("other", "1"), newEvent("other", "2")]);
    const again = log.append(done);
    expect([again[0], again[1]]).not.toContain(first);
    expect(again).not.toContain(end);
    const selectors = new SelectorSet(["j"]);
    const position = log.position({ selectors, lastEventId: "", replay: 0, counted: false });
    expect(position).toMatchObject({ ends: [number(log)] });
  });

  test("counts names as well as what goes over the wire", () => {
    const [small, large] = [new MemoryLog(), new MemoryLog()];
    small.append([newEvent("t", "")]);
    large.append([
      newEvent("t".repeat(1000), "", { key: "k".repeat(1000), idempotencyKey: "p".repeat(1000) }),
    ]);
    expect(large.bounds().bytes - small.bounds().bytes).toBe(999 + 1000 + 1000);
  });

  test("stays small: what it evicted leaves no trace that grows", () => {
    const log = new MemoryLog({ maxEvents: 100 });
    const event = (at: number) => newEvent(`t/${at % 10}`, "x", { idempotencyKey: `${at}`, key: `${at}` });
    for (let at = 0; at < 1000; at++) log.append([event(at)]);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let at = 1000; at < 200_000; at++) log.append([event(at)]);
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 * 1024 * 1024);
    expect(log.bounds().events).toBe(100);
  });

  test.each([{ maxEvents: 0 }, { maxBytes: -1 }, { maxAge: Number.NaN }])("refuses the bound %j", (bound) => {
    expect(() => new MemoryLog(bound)).toThrow(RangeError);
  });
});
