import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryLog } from "../src/index.ts";
import { freshRuns, runAll } from "./campaign.ts";
import { configOf, LOG_KINDS } from "./config.ts";
import { MUTANTS } from "./mutants/all.ts";
import { mutated } from "./mutants/run-mutants.ts";
import { Ledger } from "./oracle/ledger.ts";
import { Selection } from "./oracle/selection.ts";
import { play, playSeed, stepsOf } from "./run.ts";
import { RunContext } from "./run-context.ts";
import { shrink } from "./shrink.ts";

const MINUTE = 60_000;

describe.each(LOG_KINDS)("the simulator on %s", (log) => {
  test(
    "finds nothing wrong in some seeds",
    async () => {
      const { failed, counts } = await runAll(freshRuns(log, 1, 60), () => false);
      expect(failed).toBeNull();
      expect(counts.connects).toBeGreaterThan(100);
    },
    MINUTE,
  );

  test("does the same again for the same seed, and other things for another", () => {
    const hashes = [7, 8, 9, 7, 8, 9].map((seed) => playSeed(log, seed).hash);
    expect(hashes.slice(3)).toEqual(hashes.slice(0, 3));
    expect(new Set(hashes).size).toBe(3);
  });

  test("leaves out steps without changing what the others are", () => {
    const config = configOf(log, 11);
    const steps = stepsOf(config);
    const half = steps.filter((_, at) => at % 2 === 0);
    expect(play(config, half).hash).toBe(play(config, half.slice()).hash);
    expect(play(config, half).hash).not.toBe(play(config, steps).hash);
  });
});

describe("what is wrong", () => {
  /** A client that has been told where it begins, in a log of so many events of topic "a". */
  function client(events: number) {
    const run = new RunContext(configOf("memory", 1), false);
    const epoch = run.chronicle.begin("0123456789", null, 0);
    for (let seq = 1; seq <= events; seq++)
      run.chronicle.accept({
        seq,
        topic: "a",
        key: "",
        idempotencyKey: "",
        end: false,
        type: "message",
        data: `${seq}`,
        json: false,
        size: 1,
        time: 0,
      });
    const ledger = new Ledger("c", new Selection(["a"]), run.chronicle, run.verdict);
    const see = (type: string, data: string, seq: number): string | undefined => {
      ledger.see({ type, data, lastEventId: epoch.id(seq) });
      return run.verdict.violation?.check;
    };
    const asked = {
      lastEventId: epoch.id(0),
      replay: 0,
      lag: "catch-up" as const,
      epoch,
      last: events,
      stored: events,
    };
    ledger.connect({ ...asked, answered: events, isMoved: () => false }, true);
    see("sse:ready", `{"resume":"resumed","replayed":${events}}`, 0);
    return { run, epoch, ledger, see };
  }

  test("an event that is missing", () => {
    const { see } = client(3);
    expect(see("message", "1", 1)).toBeUndefined();
    expect(see("message", "3", 3)).toBe("hole");
  });

  test("an event that comes twice", () => {
    const { see } = client(3);
    see("message", "1", 1);
    expect(see("message", "1", 1)).toBe("order");
  });

  test("an event that nobody published", () => {
    expect(client(3).see("message", "other", 1)).toBe("content");
  });

  test("a gap over events that are still there, and none over events that are gone", () => {
    const gap = (first: number) => {
      const { run, epoch, see } = client(3);
      run.chronicle.first = first;
      return see("sse:gap", JSON.stringify({ reason: "evicted", from: epoch.id(0), to: epoch.id(2) }), 2);
    };
    expect([gap(1), gap(3)]).toEqual(["gap", undefined]);
  });

  test("a client that comes to another epoch and is told nothing", () => {
    const { run, see, ledger } = client(1);
    see("message", "1", 1);
    const next = run.chronicle.begin("abcdefghij", null, 0);
    ledger.see({ type: "sse:closing", data: "{}", lastEventId: next.id(0) });
    expect(run.verdict.violation?.check).toBe("hole");
  });
});

test("a history that fails is shrunk to what it takes", () => {
  // oxlint-disable-next-line typescript/unbound-method -- called with the log that it is asked of
  const { read } = MemoryLog.prototype;
  MemoryLog.prototype.read = function (this: MemoryLog, ...query) {
    const page = read.apply(this, query);
    return { ...page, entries: page.entries.slice(page.entries.length > 1 ? 1 : 0) };
  };
  try {
    const seeds = Array.from({ length: 20 }, (_, at) => at + 1);
    const seed = seeds.find((each) => playSeed("memory", each).violation?.check === "hole")!;
    const config = configOf("memory", seed);
    const outcome = play(config, stepsOf(config));
    const shrunk = shrink(config, stepsOf(config), outcome);
    expect(shrunk.outcome.violation!.check).toBe("hole");
    expect(shrunk.steps.length).toBeLessThan(Math.min(25, outcome.steps));
    expect(shrunk.outcome.lines!.join("\n")).toContain("publish");
  } finally {
    MemoryLog.prototype.read = read;
  }
});

test("each mutant changes one place, and no other has its name", () => {
  for (const mutant of MUTANTS) {
    const source = readFileSync(join(import.meta.dirname, "../../..", mutant.file), "utf8");
    expect(mutated(source, mutant)).not.toBe(source);
  }
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  expect(MUTANTS.length).toBeGreaterThanOrEqual(20);
});
