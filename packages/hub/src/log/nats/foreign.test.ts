import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { countAfter, shown } from "../../../test/broker-log-tests.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { manage, natsClient } from "../../../test/nats.ts";
import { until } from "../../../test/until.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { parseTopic, SelectorSet } from "../../topics/topic.ts";
import type { StoredEvent } from "../stored-event.ts";
import { formatEventId, parseEventId } from "../event-id.ts";
import { SLOTS } from "./message.ts";
import { type NatsLogOptions, openNatsLog } from "./nats-log.ts";
import { NatsSession } from "./session.ts";
import { keySubject } from "./subjects.ts";

setDefaultTimeout(60_000);

const reason = missing("nats");

describe.skipIf(reason !== "")(`messages in a log's stream that are not ours${reason}`, () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start("nats");
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  const row = (...changes: [place: number, value: unknown][]) => {
    const fields: unknown[] = ["t", "", "", "", "foreign", 0];
    for (const [place, value] of changes) fields[place] = value;
    return JSON.stringify([fields]);
  };
  const payloads: Record<string, string | Uint8Array> = {
    empty: "",
    "not JSON": "hello",
    "an object": '{"topic":"t","data":"x"}',
    "a text": '"abcdef"',
    null: "null",
    "no events": "[]",
    "texts for events": '["t-----"]',
    "a topic with a space": row([0, "t t"]),
    "a pattern for a topic": row([0, "t/*"]),
    "a number for a topic": row([0, 1]),
    "a number for data": row([4, 1]),
    "a line end in the type": row([3, "x\revent: sse:end"]),
    "a type of the hub's own": row([3, "sse:end"]),
    "an end that is neither": row([5, true]),
    "JSON that is none": row([4, '1,"topic":"u"'], [6, 1]),
    "a field too few": '[["t","","","","foreign"]]',
    "bytes that are no UTF-8": new Uint8Array([
      ...Buffer.from('[["t","","","","'),
      0xff,
      ...Buffer.from('",0]]'),
    ]),
    "an event of another topic": row([0, "other"]),
    "more events than a message has": `[${Array.from({ length: SLOTS + 1 }, () => row().slice(1, -1)).join()}]`,
  };

  const all = new SelectorSet(["**"]);
  const topic = new SelectorSet(["t"]);
  const texts = (entries: readonly StoredEvent[]) =>
    entries.map(({ wire }) => /^data: (.*)$/m.exec(wire)?.[1]);
  const put = (prefix: string, subject: string, payload: string | Uint8Array) =>
    manage(broker.url, async ({ streams }, connection) => {
      const before = (await streams.info(prefix)).state.last_seq;
      connection.publish(subject, payload);
      await connection.flush();
      await until(async () => (await streams.info(prefix)).state.last_seq > before);
    });

  test.each(Object.keys(payloads))("are skipped, and told once: %s", async (name) => {
    const prefix = `f${Object.keys(payloads).indexOf(name)}`;
    const subject = keySubject(prefix, parseTopic("t"), "").replace("*", "-");
    const warnings: string[] = [];
    const options: NatsLogOptions = { url: broker.url, prefix, checkEvery: 3 };
    options.onWarning = (warning) => warnings.push(warning);
    let log = await openNatsLog(options);
    const skips: string[] = [];
    const tailed: StoredEvent[] = [];
    log.tail({
      append: (entries) => void tailed.push(...entries),
      skip: () => void skips.push("skip"),
      reset: () => void skips.push("reset"),
    });
    const faults = () => [log.fault, ...skips].filter((each) => each !== null);
    await log.append([newEvent("t", "1")]);
    await put(prefix, subject, payloads[name]!);
    await put(prefix, `${prefix}.hello`, "hi");
    await shown(log, (await log.append([newEvent("t", "2")]))[0]!);
    await put(prefix, `${prefix}.m.x`, "hi");
    await put(prefix, subject, payloads[name]!);
    await log.checked();
    expect(texts(tailed)).toEqual(["1", "2"]);
    expect(faults()).toEqual([]);
    const { epoch, last } = log.bounds();
    await until(() => log.connection.behind === 0);
    // Nobody waits for what will not come.
    const ahead = formatEventId(epoch, last + SLOTS);
    const found = await log.position({ selectors: topic, lastEventId: ahead, replay: 0, counted: true });
    expect(found).toMatchObject({ gap: "unknown-id", cursor: last });
    expect(warnings.filter((warning) => warning.includes("is no event of this log"))).toHaveLength(1);
    await log.close();

    // Another node, which knows only what it reads.
    log = await openNatsLog({ ...options, window: { maxEvents: 1 } });
    expect(log.bounds().last).toBe(last);
    expect(await countAfter(log, 0, topic)).toBe(2);
    for (const selectors of [all, topic, new SelectorSet(["*", "nothing"])]) {
      for (const latest of [false, true]) {
        const { entries } = await log.read(0, selectors, { bytes: Infinity, upTo: last, latest });
        expect(texts(entries)).toEqual(latest ? ["2"] : ["1", "2"]);
      }
    }
    const replay = await log.position({ selectors: topic, lastEventId: "", replay: 2, counted: true });
    expect(replay).toMatchObject({ replayed: 2, ends: [0] });
    const [id] = await log.append([newEvent("t", "3")]);
    await shown(log, id!);
    expect(log.bounds().last).toBe(parseEventId(id!)!.cursor);
    expect(log.fault).toBeNull();
    await log.close();
  });

  test("do not hide how a topic ended, nor make its last event outdated", async () => {
    const prefix = "behind";
    let log = await openNatsLog({ url: broker.url, prefix });
    await log.append([newEvent("t", "1", { key: "k" })]);
    const [end] = await log.append([newEvent("t", "", { end: true })]);
    await log.close();
    await put(prefix, keySubject(prefix, parseTopic("t"), "k").replace("*", "-"), "not ours");
    // One that has seen nothing of the log: what it says is what the stream holds.
    await manage(broker.url, async (manager, connection) => {
      const session = new NatsSession(await natsClient(manager, connection, prefix));
      const { epoch, last } = (await session.state(0))!;
      expect(last).toBe(parseEventId(end!)!.cursor);
      expect((await session.next(epoch, last, 60_000)).kept).toEqual([]);
      const question = { selectors: topic, after: last, last: 0, upTo: last, counted: false };
      expect((await session.position(epoch, question)).ends).toEqual([last]);
      const limits = { bytes: Infinity, upTo: last, latest: true };
      const { kept, outdated } = await session.page(epoch, 0, topic, limits);
      expect([kept.length, outdated.size]).toEqual([2, 0]);
    });
  });

  test("of any number at the end of the stream are not waited for when a node starts", async () => {
    let log = await openNatsLog({ url: broker.url, prefix: "many" });
    const [id] = await log.append([newEvent("t", "1")]);
    await log.close();
    for (let at = 0; at < 5; at++) await put("many", `many.x.${at}`, "not ours");
    log = await openNatsLog({ url: broker.url, prefix: "many" });
    const { last } = log.bounds();
    expect(last).toBe(parseEventId(id!)!.cursor);
    expect(log.connection.behind).toBe(0);
    await log.close();
  });
});
