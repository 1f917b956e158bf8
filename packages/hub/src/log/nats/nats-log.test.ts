import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { JetStreamManager } from "@nats-io/jetstream";
import { nanos, type NatsConnection } from "@nats-io/transport-node";
import { brokerLogTests, countAfter, settled, shown } from "../../../test/broker-log-tests.ts";
import { compareLogs } from "../../../test/compare-logs.ts";
import { newEvent } from "../../testing/log-contract.ts";
import { parseEventId } from "../event-id.ts";
import { SelectorSet } from "../../topics/topic.ts";
import type { BrokerQuestion } from "../broker/broker.ts";
import { BrokerProcess, missing } from "../../../test/broker-process.ts";
import { makeStream, manage as manageServer, natsClient } from "../../../test/nats.ts";
import { EndedTopics } from "./ended-topics.ts";
import { COUNTED, NatsHistory } from "./history.ts";
import { SLOTS } from "./message.ts";
import { openNatsLog } from "./nats-log.ts";

/** Reads of a stream that loses its first messages just before, or just after, the server begins to look. */
class Racing extends NatsHistory {
  evict: "before" | "after" | "never" = "before";
  consumers = 0;
  override lastMixed = 0;

  /** As a node that has read up to the cursor, and does not know what came before it started there. */
  begin(epoch: string, cursor: number): void {
    this.client.ends.table = new EndedTopics(epoch, cursor);
  }

  protected override async newestOf(subject: string) {
    const message = await super.newestOf(subject);
    if (this.evict === "after") await this.client.manager.streams.purge(this.client.prefix, { seq: 6 });
    return message;
  }

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

  const manage = <T>(use: (manager: JetStreamManager, connection: NatsConnection) => Promise<T>) =>
    manageServer(broker.url, use);

  /** Reads a stream besides its nodes. */
  const ask = <T>(prefix: string, question: (history: Racing) => Promise<T>) =>
    manage(async (manager, connection) =>
      question(new Racing(await natsClient(manager, connection, prefix))),
    );

  const asked = (selectors: readonly string[], more: Partial<BrokerQuestion>): BrokerQuestion => ({
    selectors: new SelectorSet(selectors),
    after: null,
    last: 0,
    upTo: Infinity,
    counted: false,
    ...more,
  });

  test("leaves no consumer behind for what was read", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "tidy", window: { maxEvents: 1 } });
    for (let at = 0; at < 20; at++) await log.append([newEvent(`t/${at % 4}`, "x"), newEvent("u", "y")]);
    for (const selectors of [["**"], ["t/1", "t/2", "u"], ["t/*", "*/3"]]) {
      const set = new SelectorSet(selectors);
      await log.read(0, set, { bytes: Infinity, upTo: Infinity, latest: true });
      await countAfter(log, 0, set);
      await log.position({ selectors: set, lastEventId: "", replay: 15, counted: true });
    }
    await sleep(50);
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
        return await ask(prefix, (history) => {
          history.evict = evict;
          return question(history, epoch);
        });
      };
      const [floor, upTo] = [5 * SLOTS, 10 * SLOTS];
      const limits = { bytes: Infinity, upTo, latest: false };
      const page = await read((history, epoch) => history.page(epoch, 0, all, limits));
      expect(page.from).toBe(floor);
      expect(page.kept.map(({ event }) => event.data)).toEqual(["6", "7", "8", "9", "10"]);
      // The scan back is under way; or, evicted only after a look, the search for the end of the topic.
      const questions = [asked(["**"], { last: 8, upTo, counted: true })];
      if (evict === "after") questions.push(asked(["t"], { after: 0, upTo, counted: true }));
      for (const question of questions) {
        expect(await read((history, epoch) => history.position(epoch, question))).toMatchObject({
          from: floor,
          replayed: 5,
        });
      }
    },
  );

  test("reads a long history page by page with one consumer, and counts it with another", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "long" });
    await Promise.all(
      Array.from({ length: 1500 }, (_, at) => log.append([newEvent(`t/${at % 2}`, `${at}`)])),
    );
    const { epoch } = log.bounds();
    await log.close();
    await ask("long", async (history) => {
      history.evict = "never";
      const upTo = 1500 * SLOTS;
      const odd = new SelectorSet(["t/1"]);
      const { replayed } = await history.position(epoch, asked(["t/1"], { after: 0, upTo, counted: true }));
      expect([replayed, history.consumers]).toEqual([750, 1]);
      const data: string[] = [];
      for (let after = 0; after < upTo;) {
        const page = await history.page(epoch, after, odd, { bytes: 30_000, upTo, latest: false });
        // As a stream that takes a part of a page, and asks for what follows that.
        const part = page.kept.slice(0, 100);
        data.push(...part.map(({ event }) => event.data));
        after = part.length < page.kept.length ? part.at(-1)!.seq : page.cursor;
      }
      expect(data).toEqual(Array.from({ length: 750 }, (_, at) => `${at * 2 + 1}`));
      expect(history.consumers).toBe(2);
    });
  });

  test("goes on with what arrays of several topics hold that have come since a page was read", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "arrays" });
    for (let at = 1; at <= 40; at++) await log.append([newEvent("t", `${at}`)]);
    await log.append([newEvent("t", "41"), newEvent("u", "x")]);
    const { epoch } = log.bounds();
    await log.close();
    await ask("arrays", async (history) => {
      history.evict = "never";
      const set = new SelectorSet(["t"]);
      const first = await history.page(epoch, 0, set, { bytes: 1, upTo: 40 * SLOTS, latest: false });
      expect(first.kept).toHaveLength(16);
      history.lastMixed = 41;
      const limits = { bytes: 1e6, upTo: 41 * SLOTS, latest: false };
      const { kept } = await history.page(epoch, first.cursor, set, limits);
      expect(kept.map(({ event }) => event.data)).toEqual(
        Array.from({ length: 25 }, (_, at) => `${at + 17}`),
      );
    });
  });

  test("counts what is further back than it looks by messages, and goes back for the last ones", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "longer", maxEvents: null });
    await log.append([newEvent("rare", "1"), newEvent("rare", "2")]);
    const { epoch } = log.bounds();
    await log.close();
    const extra = 3000;
    await manage(async ({ streams }, connection) => {
      const row = JSON.stringify([["busy", "", "", "", "x", 0]]);
      for (let at = 0; at < COUNTED + extra; at++) {
        connection.publish("longer.t.busy.-.-", row);
        if (at % 4096 === 0) await connection.flush();
      }
      await connection.flush();
      while ((await streams.info("longer")).state.messages < COUNTED + extra + 1) await sleep(5);
    });
    await ask("longer", async (history) => {
      history.evict = "never";
      const upTo = (COUNTED + extra + 1) * SLOTS;
      const all = await history.position(epoch, asked(["*"], { after: 0, upTo, counted: true }));
      expect(all.replayed).toBe(COUNTED + 1 + extra + 1);
      const rare = await history.position(epoch, asked(["rare"], { last: 2, upTo }));
      expect(rare.from).toBe(SLOTS - 2);
      const busy = await history.position(epoch, asked(["busy"], { last: 5, upTo }));
      expect(busy.from).toBe(upTo - 4 * SLOTS - 1);
    });
  });

  test("does not take a topic for ended whose end is evicted while it is looked for", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "ended" });
    for (const more of [{}, { end: true }]) await log.append([newEvent("t", "x", more)]);
    for (let at = 3; at <= 8; at++) await log.append([newEvent("other", "x")]);
    const { epoch } = log.bounds();
    await log.close();
    const question = asked(["t", "other"], { upTo: 8 * SLOTS }); // answered in the order of the alphabet
    await ask("ended", async (history) => {
      history.begin(epoch, 8 * SLOTS);
      history.evict = "never";
      expect((await history.position(epoch, question)).ends).toEqual([0, 2 * SLOTS]);
      history.evict = "after";
      expect((await history.position(epoch, question)).ends).toEqual([0, 0]);
    });
  });

  test("takes a flood of large events without losing the server, and says which it did not take", async () => {
    const faults: (string | null)[] = [];
    const log = await openNatsLog({
      url: broker.url,
      prefix: "flood",
      maxBytes: null,
      checkEvery: 20,
      onFault: (fault) => faults.push(fault),
    });
    const large = "x".repeat(1_000_000);
    const answers = await Promise.allSettled(
      Array.from({ length: 100 }, (_, at) => log.append([newEvent("t", large, { key: `${at}` })])),
    );
    const ids = answers.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
    const refused = answers.flatMap((each) => (each.status === "rejected" ? [each.reason as Error] : []));
    expect(ids.length).toBeGreaterThan(10);
    expect(refused.length).toBeGreaterThan(10);
    for (const { message } of refused) expect(message).toContain("nothing was published");
    const newest = ids.toSorted((a, b) => parseEventId(a)!.cursor - parseEventId(b)!.cursor).at(-1)!;
    await shown(log, newest);
    expect(await countAfter(log, 0, new SelectorSet(["t"]))).toBe(ids.length);
    expect(faults).toEqual([]);
    await log.close();
  });

  test("wants as many servers as replicas, and says so at once", async () => {
    await expect(openNatsLog({ url: broker.url, prefix: "three", replicas: 3 })).rejects.toThrow(
      /^NATS at 127\.0\.0\.1:[0-9]+: replicas=3 wants as many servers/,
    );
  });

  test("begins another epoch when the stream was deleted", async () => {
    await manage((manager) => makeStream(manager, "gone"));
    const log = await openNatsLog({ url: broker.url, prefix: "gone", checkEvery: 20 });
    await log.append([newEvent("t", "1"), newEvent("t", "2")]);
    const { epoch } = log.bounds();
    await manage(({ streams }) => streams.delete("gone"));
    while (log.bounds().epoch === epoch || log.fault !== null) await sleep(5);
    const [id] = await log.append([newEvent("t", "3")]);
    await shown(log, id!);
    const { entries } = await log.read(0, new SelectorSet(["**"]), { bytes: Infinity, upTo: Infinity });
    expect(entries.map((entry) => entry.wire.split("\n")[0])).toEqual(["data: 3"]);
    await log.close();
  });

  test("keeps the limits of a stream that is there, and warns of them", async () => {
    await manage(({ streams }) =>
      streams.add({
        name: "theirs",
        subjects: ["theirs.>"],
        allow_direct: true,
        max_msgs: 7,
        max_bytes: 3 * 2 ** 20,
        max_age: nanos(90_000),
      }),
    );
    const warnings: string[] = [];
    const options = { url: broker.url, prefix: "theirs", onWarning: (text: string) => warnings.push(text) };
    const log = await openNatsLog({ ...options, maxEvents: 5 });
    await log.append([newEvent("t", "1")]);
    await log.close();
    const again = await openNatsLog({ ...options, maxEvents: 5 });
    await again.close();
    expect(warnings[0]).toContain(
      "the stream theirs has max_msgs 7 and not 5, max_bytes 3MiB and not 64MiB, max_age 90s and not 1d: it stays so",
    );
    expect(await manage(async ({ streams }) => (await streams.info("theirs")).config.max_msgs)).toBe(7);
  });

  test("does not take a stream for its log that is something else", async () => {
    await manage(({ streams }) => streams.add({ name: "orders", subjects: ["orders.new"] }));
    await expect(openNatsLog({ url: broker.url, prefix: "orders" })).rejects.toThrow(
      "that is something else",
    );
  });

  test("refuses what is too large for a message, and says so", async () => {
    const log = await openNatsLog({ url: broker.url, prefix: "large" });
    const large = newEvent("t", "x".repeat(2 ** 20));
    await expect(log.append([large])).rejects.toMatchObject({ code: "too-large" });
    await log.append([newEvent("t", "small")]);
    await log.close();
  });

  test.each([1, 2, 3, Math.floor(Math.random() * 1e9)])(
    "answers as the memory log does, seed %i",
    async (seed) => {
      const options = { url: broker.url, prefix: `seed${seed}`, checkEvery: 3, window: { maxEvents: 7 } };
      const open = async (maxEvents: number) => settled(await openNatsLog({ ...options, maxEvents }), true);
      const limits = { maxBatch: 1, tellsGapsByTopic: false, recognisesIdsWithAnyKey: false }; // see decision 7
      await compareLogs({ open, reopen: open, seed, rounds: 300, ...limits });
    },
  );

  brokerLogTests("NATS", (options) => openNatsLog({ url: broker.url, ...options }), true);
});
