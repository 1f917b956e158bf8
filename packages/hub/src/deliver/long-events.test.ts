import { describe, expect, spyOn, test } from "bun:test";
import { connect, dataOf } from "../../test/client.ts";
import { createHub, MemoryLog } from "../index.ts";
import { newEvent } from "../testing/log-contract.ts";
import { ManualClock } from "../testing/manual-clock.ts";

/* Events of a megabyte, all that a turn of the event loop should have of which is one or a few. */

const LENGTH = 2 ** 20 - 64;
/** Escaped, each character takes six. */
const CONTROLS = "\u0001".repeat(LENGTH);
const TOPICS = Array.from({ length: 8 }, (_, at) => `t${at}`);

function setUp() {
  const clock = new ManualClock();
  const log = new MemoryLog({ clock });
  return { clock, log, hub: createHub({ clock, log }) };
}

/** Turns until nothing is left to do. @returns the most that one turn has made of it */
async function mostInATurn(clock: ManualClock, measure: () => number): Promise<number> {
  let most = 0;
  for (let idle = 0; idle < 3;) {
    const before = measure();
    idle = clock.turn() ? 0 : idle + 1;
    most = Math.max(most, measure() - before);
    for (let i = 0; i < 8; i++) await Promise.resolve();
  }
  return most;
}

describe.each([
  ["in envelopes", "json"],
  ["plain", undefined],
] as const)("%s", (_, envelope) => {
  test("streams that catch up with long events are given one in a turn", async () => {
    const { clock, log, hub } = setUp();
    for (const topic of TOPICS) log.append([newEvent(topic, CONTROLS)]);
    const clients = TOPICS.map((topic) => connect(hub, { topics: [topic], replay: "all", envelope }));
    const frames = (): number =>
      clients.reduce((sum, { sink }) => sum + sink.frames.filter(({ length }) => length > LENGTH).length, 0);
    expect(await mostInATurn(clock, frames)).toBe(1);
    expect(frames()).toBe(TOPICS.length);
    await hub.close();
  });
});

test("few long events are put into envelopes in a turn, and each stream has its own", async () => {
  const { clock, log, hub } = setUp();
  const clients = TOPICS.map((topic) => connect(hub, { topics: [topic], envelope: "json" }));
  await clock.settle();
  const stringify = spyOn(JSON, "stringify");
  const escaped = (): number => stringify.mock.calls.filter(([text]) => text === CONTROLS).length;
  const before = escaped();
  log.append(TOPICS.map((topic) => newEvent(topic, CONTROLS)));
  const most = Math.max(escaped() - before, await mostInATurn(clock, escaped));
  const all = escaped();
  stringify.mockRestore();
  expect(most).toBe(1);
  expect(all).toBe(TOPICS.length);
  for (const { sink } of clients) expect(dataOf(sink)).toHaveLength(1);
  await hub.close();
});

test("long events that are published in one turn are taken to the log over several", async () => {
  const { clock, log, hub } = setUp();
  const append = spyOn(log, "append");
  const length = (): number =>
    append.mock.calls.reduce(
      (sum, [batch]) => sum + batch.reduce((all, { data }) => all + data.length, 0),
      0,
    );
  const lines = "\n".repeat(2 ** 17);
  const published = Promise.all(TOPICS.map((topic) => hub.publish(topic, { data: lines })));
  expect(await mostInATurn(clock, length)).toBeLessThanOrEqual(4 * lines.length);
  expect(length()).toBe(TOPICS.length * lines.length);
  expect(new Set(await published).size).toBe(TOPICS.length);
  await hub.close();
});
