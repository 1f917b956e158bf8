import { describe, expect, test } from "bun:test";
import { MemoryLog } from "./memory/memory-log.ts";
import { newEvent } from "../testing/log-contract.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { SelectorSet } from "../topics/topic.ts";
import type { Position, PositionRequest } from "./event-log.ts";

const EVENTS = 1000;
const STEPS = 100;

/** Counts how often it is asked for a topic, in this turn of the event loop and at most. */
class Counting extends SelectorSet {
  looked = 0;
  override matches(...topic: Parameters<SelectorSet["matches"]>): boolean {
    this.looked++;
    return super.matches(...topic);
  }
}

/** @param topics that the events are spread over */
function setUp(topics: number, turnSteps?: number) {
  const clock = new ManualClock(turnSteps === undefined ? {} : { turnSteps });
  const log = new MemoryLog({ clock, random: () => 0.5, maxEvents: EVENTS });
  const publish = (count: number, from = 0) =>
    log.append(Array.from({ length: count }, (_, at) => newEvent(`${at % 2}/${(from + at) % topics}`, "x")));
  publish(EVENTS);
  return { clock, log, publish };
}

const requestFor = (selectors: SelectorSet, replay: number, lastEventId = ""): PositionRequest => ({
  selectors,
  replay,
  lastEventId,
  counted: true,
});

/** Turns until there is an answer. */
async function answer(clock: ManualClock, position: unknown, each: () => void): Promise<Position> {
  let found: Position | null = null;
  void Promise.resolve(position as Promise<Position>).then((value) => (found = value));
  for (;;) {
    each();
    for (let i = 0; i < 8; i++) await Promise.resolve();
    if (found !== null) return found;
    expect(clock.turn()).toBeTrue();
  }
}

describe.each([
  ["each with a topic of its own", EVENTS],
  ["of few topics", 100],
])("the position of a stream with patterns among many events, %s", (_, topics) => {
  const selectors = (): Counting => new Counting(["1/*", "none/*/*", "none/*/*/*/*/*"]);

  test.each([
    ["the last of them", 20, null],
    ["all but one", EVENTS / 2 - 1, null],
    ["all", Infinity, null],
    ["more than there are", EVENTS - 1, null],
    ["after an id", 0, 10],
  ])(
    "%s: is what it is in one go, and no turn looks at more than its steps allow",
    async (...[, replay, id]) => {
      const { clock, log } = setUp(topics, STEPS);
      const { log: other } = setUp(topics);
      const idOf = (of: MemoryLog): string => (id === null ? "" : `${of.bounds().epoch}-${id}`);
      const wanted = selectors();
      let most = 0;
      const position = log.position(requestFor(wanted, replay, idOf(log)));
      const found = await answer(clock, position, () => {
        most = Math.max(most, wanted.looked);
        wanted.looked = 0;
      });
      expect(found).toEqual(other.position(requestFor(selectors(), replay, idOf(other))) as Position);
      expect(most).toBeLessThanOrEqual(Math.ceil(STEPS / wanted.cost) + 1);
    },
  );

  test("is of the moment of the question: neither what comes nor what goes meanwhile changes it", async () => {
    const { clock, log, publish } = setUp(topics, STEPS);
    const wanted = selectors();
    const first = log.position(requestFor(wanted, Infinity));
    let at = EVENTS;
    const { last } = log.bounds();
    const found = await answer(clock, first, () => publish(2, (at += 2))); // evicts as much, what was looked at already
    expect(found).toMatchObject({ upTo: last, cursor: 0, replayed: EVENTS / 2 });
    expect(log.bounds().first).toBeGreaterThan(1);
  });

  test("does not wait for one that takes longer", async () => {
    const { clock, log } = setUp(topics, STEPS);
    const order: string[] = [];
    const ask = async (name: string, replay: number): Promise<void> => {
      await log.position(requestFor(selectors(), replay));
      order.push(name);
    };
    const both = [ask("long", EVENTS - 1), ask("short", 10)];
    await clock.settle();
    await Promise.all(both);
    expect(order).toEqual(["short", "long"]);
  });
});

test("events of long topics are looked up in more turns than those of short ones", async () => {
  const turnsOf = async (length: number): Promise<number> => {
    const clock = new ManualClock({ turnSteps: 1000 });
    const log = new MemoryLog({ clock });
    for (let at = 0; at < 2000; at++) log.append([newEvent(`t/${"a".repeat(length)}`, "1")]);
    const position = log.position({
      selectors: new SelectorSet(["t/*"]),
      lastEventId: "",
      replay: 2000,
      counted: false,
    });
    let turns = 0;
    while (clock.turn()) turns++;
    expect(await position).toMatchObject({ cursor: 0 });
    return turns;
  };
  expect(await turnsOf(960)).toBeGreaterThan(8 * (await turnsOf(1)));
});
