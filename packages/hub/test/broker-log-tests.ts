import { expect, test } from "bun:test";
import { type EventId, type EventLog, parseEventId, SelectorSet } from "../src/index.ts";
import { formatEventId } from "../src/log/event-id.ts";
import type { BrokerLog, BrokerLogOptions } from "../src/log/broker/broker-log.ts";
import {
  type ContractRetention,
  logContract,
  type LogUnderTest,
  newEvent,
} from "../src/testing/log-contract.ts";
import { until } from "./until.ts";

type Open = (options: BrokerLogOptions & { prefix: string }) => Promise<BrokerLog>;

let logs = 0;
const CHECK_EVERY = 3;
const all = new SelectorSet(["**"]);

/** Resolves when what was appended with this id is shown. */
export async function shown(log: EventLog, id: EventId): Promise<void> {
  await log.position({ selectors: all, lastEventId: id, replay: 0, counted: false });
}

/** How many selected events the log has after a cursor. */
export async function countAfter(log: EventLog, after: number, selectors: SelectorSet): Promise<number> {
  const lastEventId = formatEventId(log.bounds().epoch, after);
  return (await log.position({ selectors, lastEventId, replay: 0, counted: true })).replayed;
}

/**
 * A broker's log answers an append before the event comes back through the broker, and knows what was evicted when it has
 * asked: the contract's tests look when both have happened.
 *
 * @param alone each event is published by itself
 */
export function settled(log: BrokerLog, alone: boolean): EventLog {
  return new Proxy(log, {
    get: (target, name) => {
      if (name === "append") {
        return async (...[batch]: Parameters<EventLog["append"]>) => {
          const ids: EventId[] = [];
          for (const part of alone ? batch.map((event) => [event]) : [batch])
            ids.push(...(await target.append(part)));
          for (const id of ids) await shown(target, id);
          await target.checked();
          return ids;
        };
      }
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/**
 * What the logs of all brokers have to do.
 *
 * @param countsArrays the broker's bounds count what was published together as one
 */
export function brokerLogTests(name: string, open: Open, countsArrays: boolean): void {
  const openNew = (options: BrokerLogOptions) =>
    open({ checkEvery: CHECK_EVERY, prefix: `t${process.pid}_${++logs}`, ...options });
  const under = (alone: boolean, more: BrokerLogOptions = {}): LogUnderTest => ({
    hasOwnClock: true,
    stride: countsArrays ? 12 : 1,
    open: async (retention: ContractRetention = {}) =>
      settled(
        await openNew({ maxEvents: retention.maxEvents, maxBytes: retention.maxBytes, ...more }),
        alone || (countsArrays && retention.maxEvents !== undefined),
      ),
    reopen: async () =>
      settled(await open({ checkEvery: CHECK_EVERY, prefix: `t${process.pid}_${logs}`, ...more }), alone),
  });
  logContract(name, under(false));
  logContract(`${name}, with next to nothing in memory`, under(true, { window: { maxEvents: 2 } }));
  const { reopen, ...arrays } = under(false, { window: { maxEvents: 2 } });
  // Of what was published together, NATS knows only the first id when it is no longer in memory: see decision 7.
  logContract(
    `${name}, with next to nothing in memory, published together`,
    countsArrays ? arrays : { ...arrays, reopen: reopen! },
  );

  test(`${name}: evicts by age, also when nothing is appended, and gives no number twice`, async () => {
    const log = await openNew({ maxAge: 300 });
    const [, second] = await log.append([newEvent("a", "1"), newEvent("a", "2")]);
    await until(async () => (await countAfter(log, 0, all)) === 0);
    await until(() => log.bounds().events === 0 && log.bounds().bytes === 0);
    const [third] = await log.append([newEvent("a", "3")]);
    expect(parseEventId(third!)!.cursor).toBeGreaterThan(parseEventId(second!)!.cursor);
    await log.close();
  });

  test(`${name}: any topic, key, type and data that the hub lets in comes back as it was`, async () => {
    const log = await openNew({ window: { maxEvents: 1 } });
    const topics = [
      "/",
      "//a//",
      "a.b/>/%/%d",
      "é日本/😀",
      "$JS/API",
      ".".repeat(1024),
      "/".repeat(1024),
      "é".repeat(512),
    ];
    const events = topics.map((topic, at) => {
      const json = at % 2 === 1;
      const data = `\u2028 "${topic}" \\ \r\n😀`;
      return newEvent(topic, json ? JSON.stringify(data) : data, {
        key: `k ${at}\t*>`,
        type: "t\t ü",
        idempotencyKey: `p ${at}\t.>`,
        json,
      });
    });
    for (const event of events) await log.append([event]);
    // Published together they would be new to NATS: see decision 7.
    const ids = (await Promise.all(events.map((event) => log.append([event])))).flat();
    await shown(log, (await log.append([newEvent("last", "")]))[0]!);
    for (const [at, { topic, key, type, idempotencyKey, json }] of events.entries()) {
      const { entries } = await log.read(0, new SelectorSet([topic]), { bytes: Infinity, upTo: Infinity });
      const seq = parseEventId(ids[at]!)!.cursor;
      expect(entries).toMatchObject([{ topic, key, idempotencyKey, json, seq }]);
      expect(entries[0]!.wire).toContain(`event: ${type}\n`);
      expect(entries[0]!.wire).toContain("😀");
    }
    const longest = newEvent("x".repeat(1024), "", {
      key: "k".repeat(1024),
      idempotencyKey: "p".repeat(1024),
    });
    expect(await log.append([longest])).toHaveLength(1);
    await log.close();
  });

  test(`${name}: several publishers of the same id publish it once, wherever they are`, async () => {
    const prefix = `t${process.pid}_${++logs}`;
    const nodes = await Promise.all([1, 2, 3].map(() => open({ checkEvery: CHECK_EVERY, prefix })));
    for (const batch of [["p"], ["q", "r"]]) {
      const events = batch.map((idempotencyKey) => newEvent("a", "x", { idempotencyKey }));
      const answers = await Promise.all(Array.from({ length: 30 }, (_, at) => nodes[at % 3]!.append(events)));
      expect(new Set(answers.map(String)).size).toBe(1);
      await shown(nodes[0]!, answers[0]!.at(-1)!);
    }
    expect(await countAfter(nodes[0]!, 0, all)).toBe(3);
    for (const node of nodes) await node.close();
  });
}
