import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { shown } from "../../../test/broker-log-tests.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { makeStream, manage as manageServer, natsClient } from "../../../test/nats.ts";
import { until } from "../../../test/until.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { SelectorSet } from "../../topics/topic.ts";
import { EpochMismatch } from "../broker/broker.ts";
import { formatEventId, parseEventId } from "../event-id.ts";
import { SLOTS } from "./message.ts";
import { openNatsLog } from "./nats-log.ts";
import { NatsSession } from "./session.ts";

setDefaultTimeout(60_000);

const reason = missing("nats");

describe.skipIf(reason !== "")(`a session with NATS${reason}`, () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start("nats");
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  const manage = <T>(use: Parameters<typeof manageServer<T>>[1]) => manageServer(broker.url, use);
  const withSession = <T>(prefix: string, use: (session: NatsSession) => Promise<T>) =>
    manage(async (manager, connection) => {
      return await use(new NatsSession(await natsClient(manager, connection, prefix)));
    });
  const names = () => manage(async ({ streams }) => (await streams.names().next()).toSorted());
  const selectors = new SelectorSet(["t"]);
  const question = (upTo: number) => ({ selectors, after: 0, last: 0, upTo, counted: true });
  const limits = { bytes: Infinity, upTo: SLOTS, latest: false };

  test("creates nothing when it is asked", async () => {
    await withSession("nothing", async (session) => {
      const before = await names();
      expect(await session.state(SLOTS)).toBeNull();
      await expect(session.position("epoch00000", question(SLOTS))).rejects.toBeInstanceOf(EpochMismatch);
      await expect(session.page("epoch00000", 0, selectors, limits)).rejects.toBeInstanceOf(EpochMismatch);
      await session.renew("epoch00000", "epoch00001");
      await expect(session.append("epoch00000", 0, [newEvent("t", "1")], () => undefined)).rejects.toThrow();
      await expect(session.next("epoch00000", 0, 1)).rejects.toThrow();
      expect(await session.state(0)).toBeNull();
      expect(await names()).toEqual(before);
    });
  });

  test("creates a log once, and takes over a stream that was made for it", async () => {
    await manage((manager) => makeStream(manager, "made"));
    for (const prefix of ["new", "made"]) {
      await withSession(prefix, async (session) => {
        expect(await session.state(0)).toBeNull();
        await Promise.all([session.create("epoch00000"), session.create("epoch00000")]);
        await session.create("epoch00001");
        expect(await session.state(0)).toMatchObject({ epoch: "epoch00000", last: 0, inherited: 0 });
      });
    }
  });

  test("answers for no other epoch, and renews no other", async () => {
    await withSession("renewed", async (session) => {
      await session.create("epoch00000");
      const {
        cursors: [seq],
      } = await session.append("epoch00000", 0, [newEvent("t", "1")], () => undefined);
      await session.renew("epoch00001", "epoch00002");
      expect((await session.state(0))!.epoch).toBe("epoch00000");
      expect(await session.position("epoch00000", question(seq!))).toEqual({
        from: 0,
        replayed: 1,
        ends: [0],
      });
      await session.renew("epoch00000", "epoch00001");
      expect(await session.state(0)).toMatchObject({ epoch: "epoch00001", inherited: seq! });
      await expect(session.position("epoch00000", question(seq!))).rejects.toBeInstanceOf(EpochMismatch);
      await expect(session.page("epoch00000", 0, selectors, limits)).rejects.toBeInstanceOf(EpochMismatch);
    });
  });

  test("gives positions within what the node has shown, and ends of what anybody was answered for", async () => {
    await withSession("shown", async (session) => {
      await session.create("epoch00000");
      const append = (data: string, end = false) =>
        session.append("epoch00000", 0, [newEvent("t", data, { end })], () => undefined);
      let given = 0;
      const readUpTo = async (cursor: number): Promise<void> => {
        while (given < cursor)
          given = (await session.next("epoch00000", given, 60_000)).kept.at(-1)?.seq ?? given;
      };
      const at = (upTo: number) => session.position("epoch00000", question(upTo));
      const {
        cursors: [one],
      } = await append("1");
      const {
        cursors: [end],
      } = await append("", true);
      await readUpTo(end!);
      expect(await at(one!)).toEqual({ from: 0, replayed: 1, ends: [end!] });
      expect(await at(end!)).toEqual({ from: 0, replayed: 2, ends: [end!] });
      const {
        cursors: [two],
      } = await append("2"); // which has been answered, and has yet to come
      const position = at(end!);
      expect(await Promise.race([position, sleep(20)])).toBeUndefined();
      await readUpTo(two!);
      expect(await position).toEqual({ from: 0, replayed: 2, ends: [0] });
      await manage(({ streams }) => streams.purge("shown"));
      expect(await at(two!)).toEqual({ from: two!, replayed: 0, ends: [0] });
      expect((await at(one!)).from).toBe(one!);
    });
  });

  test("does not say that a topic has ended while it has not read what may follow", async () => {
    await withSession("unread", async (session) => {
      await session.create("epoch00000");
      const {
        cursors: [end],
      } = await session.append(
        ...(["epoch00000", 0, [newEvent("t", "", { end: true })], () => undefined] as const),
      );
      await expect(session.position("epoch00000", question(end!))).rejects.toThrow("no answer within");
    });
  });

  test("forgets which topics have ended when it has missed a part of the log", async () => {
    await manage(async (manager, connection) => {
      const client = await natsClient(manager, connection, "missed");
      const first = new NatsSession(client);
      await first.create("epoch00000");
      const append = (topic: string, end = false) =>
        first.append("epoch00000", 0, [newEvent(topic, "", { end })], () => undefined);
      const {
        cursors: [end],
      } = await append("t", true);
      expect((await first.next("epoch00000", 0, 60_000)).kept).toHaveLength(1);
      await append("t");
      const {
        cursors: [last],
      } = await append("other");
      await manager.streams.purge("missed", { seq: 3 });
      const second = new NatsSession(client); // as after the connection was lost
      const { from, kept } = await second.next("epoch00000", end!, 60_000);
      expect([from, kept.length]).toEqual([2 * SLOTS, 1]);
      expect((await second.position("epoch00000", question(last!))).ends).toEqual([0]);
      // Neither does one that begins after a part that it has not read.
      const third = new NatsSession({ ...client, ends: { table: client.ends.table } });
      await append("t", true);
      await third.next("epoch00000", last!, 60_000);
      await append("t");
      const {
        cursors: [newest],
      } = await append("other");
      await manager.streams.purge("missed", { seq: newest! / SLOTS });
      await third.next("epoch00000", 5 * SLOTS, 60_000);
      expect((await third.position("epoch00000", question(newest!))).ends).toEqual([0]);
    });
  });

  test("never makes the log of an epoch that is over, whatever ids are asked for meanwhile", async () => {
    await manage((manager) => makeStream(manager, "remade"));
    const log = await openNatsLog({ url: broker.url, prefix: "remade", checkEvery: 5 });
    await shown(log, (await log.append([newEvent("t", "1")]))[0]!);
    const { epoch } = log.bounds();
    const over = new AbortController();
    const asking = (async () => {
      for (let ahead = 2; !over.signal.aborted; ahead++) {
        const lastEventId = formatEventId(epoch, ahead * SLOTS);
        const asked = { selectors, lastEventId, replay: 0, counted: false };
        await Promise.resolve(log.position(asked)).catch(() => {});
      }
    })();
    await manage(({ streams }) => streams.delete("remade"));
    const descriptionNow = async () =>
      (await manage(({ streams }) => streams.info("remade")).catch(() => null))?.config.description;
    await until(async () => (await descriptionNow()) !== undefined);
    over.abort();
    await asking;
    const description = (await descriptionNow())!;
    expect(description).not.toContain(epoch);
    await until(() => log.fault === null && description.includes(log.bounds().epoch));
    const [id] = await log.append([newEvent("t", "2")]);
    expect(description).toContain(parseEventId(id!)!.epoch);
    await log.close();
  });
});
