import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { countAfter, shown } from "../../../test/broker-log-tests.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { manage } from "../../../test/nats.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { SelectorSet } from "../../topics/topic.ts";
import type { BrokerLog } from "../broker/broker-log.ts";
import { type EventId, parseEventId } from "../event-id.ts";
import { type NatsLogOptions, openNatsLog } from "./nats-log.ts";
import { subjectOf } from "./subjects.ts";

setDefaultTimeout(60_000);

const reason = missing("nats");

describe.skipIf(reason !== "")(`what a node publishes to NATS${reason}`, () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start("nats");
  });
  afterAll(() => broker[Symbol.asyncDispose]());
  let opened: BrokerLog | null = null;
  const open = async (options: NatsLogOptions): Promise<BrokerLog> => (opened = await openNatsLog(options));
  afterEach(() => opened?.close());

  const withId = (data: string, idempotencyKey: string) => newEvent("t", data, { idempotencyKey });
  const numbers = async (appends: readonly Promise<readonly EventId[]>[]): Promise<number[]> =>
    (await Promise.all(appends)).flat().map((id) => parseEventId(id)!.cursor);
  const ascending = (seqs: readonly number[]) => seqs.toSorted((a, b) => a - b);

  test("stands in the order in which it was appended, also behind an array with ids", async () => {
    const log = await open({ url: broker.url, prefix: "order" });
    await log.append([newEvent("t", "first")]);
    for (let round = 0; round < 20; round++) {
      const appends = [
        log.append([withId("1", `a${round}`), withId("2", `b${round}`)]),
        ...Array.from({ length: 20 }, (_, at) => log.append([newEvent("t", `${at}`)])),
        log.append([withId("3", `c${round}`), withId("", `c${round}\0end`)]),
        log.append([newEvent("t", "goes on")]),
      ];
      const seqs = await numbers(appends);
      expect(seqs).toEqual(ascending(seqs));
    }
  });

  test("stands in that order when a part of an array was there already, though not in memory", async () => {
    const options = { url: broker.url, prefix: "partial", window: { maxEvents: 1 } };
    const log = await open(options);
    for (let round = 0; round < 20; round++) {
      const [there] = await log.append([withId("1", `a${round}`)]);
      await shown(log, (await log.append([newEvent("t", "x")]))[0]!);
      const appends = [
        log.append([withId("1", `a${round}`), withId("2", `b${round}`)]),
        ...[1, 2, 3].map((at) => log.append([newEvent("t", `${at}`)])),
      ];
      expect((await appends[0])![0]).toBe(there);
      const later = (await numbers(appends)).slice(1);
      expect(later).toEqual(ascending(later));
    }
  });

  test("is there once, in whatever company it comes again before it came back", async () => {
    const log = await open({ url: broker.url, prefix: "company" });
    for (let round = 0; round < 50; round++) {
      const [, second] = await log.append([withId("1", `a${round}`), withId("2", `b${round}`)]);
      const again = await log.append([withId("3", `c${round}`), withId("2", `b${round}`)]);
      expect(again[1]).toBe(second);
    }
  });

  test("is there once though a message that is not ours has its place", async () => {
    const log = await open({ url: broker.url, prefix: "taken" });
    const event = withId("1", "a");
    await manage(broker.url, async (_, connection) => {
      connection.publish(subjectOf("taken", [event]), "not ours");
      await connection.flush();
    });
    const [first] = await log.append([event]);
    await shown(log, first!);
    expect(await log.append([event])).toEqual([first!]);
    expect(await countAfter(log, 0, new SelectorSet(["t"]))).toBe(1);
  });
});
