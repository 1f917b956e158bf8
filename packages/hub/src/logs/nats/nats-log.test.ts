import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { brokerLogTests } from "../../../test/broker-log-tests.ts";
import { newEvent } from "../../../test/log-contract.ts";
import { parseEventId } from "../../cursor.ts";
import { SelectorSet } from "../../topic.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { type NatsClient, NatsHistory } from "./history.ts";
import { SLOTS } from "./message.ts";
import { openNatsLog } from "./nats-log.ts";

/** Reads of a stream that loses its first messages just before, or just after, the server begins to look. */
class Racing extends NatsHistory {
  evict: "before" | "after" | "never" = "before";
  consumers = 0;

  protected override async consumer(start: number, subject?: string) {
    this.consumers++;
    const evict = () => this.client.manager.streams.purge(this.client.prefix, { seq: 6 });
    if (this.evict === "before") await evict();
    const info = await super.consumer(start, subject);
    if (this.evict === "after") await evict();
    return info;
  }
}

/** A test that times out takes the broker with it. */
setDefaultTimeout(30_000);

const reason = missing("nats");

describe.skipIf(reason !== "")(`NATS${reason}`, () => {
  let broker: BrokerProcess;
  beforeAll(async () => {
    broker = await BrokerProcess.start("nats");
  });
  afterAll(() => broker[Symbol.asyncDispose]());

  /** What another program sees of the server. */
  async function manage<T>(use: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    const connection = await connect({ servers: broker.url });
    try {
      return await use(await jetstreamManager(connection));
    } finally {
      await connection.close();
    }
  }

  test("leaves no consumer behind for what was read", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "tidy", window: { maxEvents: 1 } });
    for (let at = 0; at < 20; at++) await log.append([newEvent(`t/${at % 4}`, "x"), newEvent("u", "y")]);
    for (const selectors of [["**"], ["t/1", "t/2", "u"], ["t/*", "*/3"]]) {
      const set = new SelectorSet(selectors);
      await log.read(0, set, { bytes: Infinity, upTo: Infinity, latest: true });
      await log.survey(0, set);
      await log.rewind(15, set);
    }
    await Bun.sleep(50);
    const state = await manage(async ({ streams }) => (await streams.info("tidy")).state);
    expect(state.consumer_count).toBe(1);
    await log.close();
  });

  test.each(["before", "after"] as const)(
    "hides nothing of what is evicted %s a read begins at the server",
    async (evict) => {
      const prefix = `racing-${evict}`;
      const all = new SelectorSet(["**"]);
      const read = async <T>(question: (history: Racing, epoch: string) => Promise<T>): Promise<T> => {
        await manage(({ streams }) => streams.delete(prefix)).catch(() => {});
        const log = await openNatsLog({ url: broker.url, prefix });
        for (let at = 1; at <= 10; at++) await log.append([newEvent("t", `${at}`)]);
        const { epoch } = log.bounds();
        await log.close();
        return await manage(async (manager) => {
          const nats = await import("@nats-io/jetstream");
          const { nanos } = await import("@nats-io/transport-node");
          const client = { nats: { ...nats, nanos }, manager, jetstream: manager.jetstream(), prefix };
          const history = new Racing(client as unknown as NatsClient);
          history.evict = evict;
          return await question(history, epoch);
        });
      };
      const [floor, upTo] = [5 * SLOTS, 10 * SLOTS];
      const limits = { bytes: Infinity, upTo, latest: false };
      const page = await read((history, epoch) => history.page(epoch, 0, all, limits));
      expect(page.from).toBe(floor);
      expect(page.kept.map(({ event }) => event.data)).toEqual(["6", "7", "8", "9", "10"]);
      expect(await read((history, epoch) => history.survey(epoch, 0, all, upTo))).toEqual({
        from: floor,
        events: 5,
      });
      expect(await read((history, epoch) => history.rewind(epoch, 8, all, upTo))).toBe(floor);
    },
  );

  test("counts a long history with few consumers", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "long" });
    await Promise.all(Array.from({ length: 1500 }, (_, at) => log.append([newEvent("t", `${at}`)])));
    const { epoch } = log.bounds();
    await log.close();
    await manage(async (manager) => {
      const nats = await import("@nats-io/jetstream");
      const { nanos } = await import("@nats-io/transport-node");
      const client = { nats: { ...nats, nanos }, manager, jetstream: manager.jetstream(), prefix: "long" };
      const history = new Racing(client as unknown as NatsClient);
      history.evict = "never";
      const { events } = await history.survey(epoch, 0, new SelectorSet(["**"]), 1500 * SLOTS);
      expect([events, history.consumers]).toEqual([1500, 1]);
    });
  });

  test("begins another life when the stream was deleted", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "gone", checkEvery: 20 });
    await log.append([newEvent("t", "1"), newEvent("t", "2")]);
    const { epoch } = log.bounds();
    await manage(({ streams }) => streams.delete("gone"));
    while (log.bounds().epoch === epoch || log.fault !== null) await Bun.sleep(5);
    const [id] = await log.append([newEvent("t", "3")]);
    await log.reach(parseEventId(id!)!.cursor);
    const { entries } = await log.read(0, new SelectorSet(["**"]), { bytes: Infinity, upTo: Infinity });
    expect(entries.map((entry) => entry.wire.split("\n")[1])).toEqual(["data: 3"]);
    await log.close();
  });

  test("keeps the limits of a stream that is there, and warns of them", async () => {
    await manage(({ streams }) =>
      streams.add({ name: "theirs", subjects: ["theirs.>"], allow_direct: true, max_msgs: 7 }),
    );
    const warnings: string[] = [];
    const options = { url: broker.url, prefix: "theirs", onWarning: (text: string) => warnings.push(text) };
    const log = await openNatsLog({ ...options, maxEvents: 5 });
    await log.append([newEvent("t", "1")]);
    await log.close();
    const again = await openNatsLog({ ...options, maxEvents: 5 });
    await again.close();
    expect(warnings[0]).toContain("the stream theirs has max_msgs 7 and not 5");
    expect(await manage(async ({ streams }) => (await streams.info("theirs")).config.max_msgs)).toBe(7);
  });

  test("does not take a stream for its log that is something else", async () => {
    await manage(({ streams }) => streams.add({ name: "orders", subjects: ["orders.new"] }));
    expect(openNatsLog({ url: broker.url, prefix: "orders" })).rejects.toThrow("that is something else");
  });

  test("refuses what is too large for a message, and says so", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "large" });
    const large = newEvent("t", "x".repeat(2 ** 20));
    expect(log.append([large])).rejects.toMatchObject({ code: "too-large" });
    await log.append([newEvent("t", "small")]);
    await log.close();
  });

  brokerLogTests("NATS", (options) => openNatsLog({ url: broker.url, ...options }), true);
});
