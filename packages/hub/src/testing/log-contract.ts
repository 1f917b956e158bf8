import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { formatEventId, parseEventId } from "../log/event-id.ts";
import type { Bounds, EventLog } from "../log/event-log.ts";
import type { NewEvent } from "../log/new-event.ts";
import type { StoredEvent } from "../log/stored-event.ts";
import { parseTopic, SelectorSet } from "../topics/topic.ts";
import { ManualClock } from "./manual-clock.ts";

/** The contract of {@link EventLog}: every implementation runs it. */
export function logContract(name: string, { open, reopen, hasOwnClock, stride = 1 }: LogUnderTest): void {
  describe(`log contract: ${name}`, () => {
    let log: EventLog;
    beforeEach(async () => {
      log = await open();
    });
    afterEach(() => log.close());

    const all = new SelectorSet(["**"]);
    const texts = (entries: readonly StoredEvent[]): string[] =>
      entries.map(({ wire }) => /^data: (.*)$/m.exec(wire)?.[1] ?? "");
    const append = async (...events: NewEvent[]): Promise<number[]> =>
      (await log.append(events)).map((id) => parseEventId(id)!.cursor);
    const read = async (
      after: number,
      selectors: SelectorSet,
      more: { bytes?: number; latest?: boolean } = {},
    ) => log.read(after, selectors, { bytes: Infinity, upTo: Infinity, ...more });
    const position = async (selectors: SelectorSet, lastEventId: string, replay = 0) =>
      log.position({ selectors, lastEventId, replay, counted: true });
    const resume = async (after: number, selectors: SelectorSet) =>
      position(selectors, formatEventId(log.bounds().epoch, after));
    const beforeLast = async (count: number, selectors: SelectorSet) =>
      (await position(selectors, "", count)).cursor;
    const endsOf = async (...topics: string[]) => (await position(new SelectorSet(topics), "")).ends;

    test("an empty log has nothing, and bounds that say so", async () => {
      const { first, last, events, epoch }: Bounds = log.bounds();
      expect({ gap: last - first, events }).toEqual({ gap: -1, events: 0 });
      expect(epoch).toMatch(/^[0-9a-z]{10}$/);
      expect(await resume(last, all)).toEqual({
        epoch,
        upTo: last,
        cursor: last,
        replayed: 0,
        resume: "resumed",
        gap: null,
        ends: [],
      });
      expect((await read(last, all)).entries).toEqual([]);
      expect(await beforeLast(5, all)).toBe(last);
    });

    test("ids carry the epoch, ascend in the order of appends, and hold only header-safe characters", async () => {
      const ids = [
        ...(await log.append([newEvent("a", "1"), newEvent("b", "2")])),
        ...(await log.append([newEvent("a", "3")])),
      ];
      const parsed = ids.map((id) => parseEventId(id)!);
      expect(parsed.map(({ epoch }) => epoch)).toEqual(ids.map(() => log.bounds().epoch));
      expect(parsed.map(({ cursor }) => cursor)).toEqual(
        parsed.map(({ cursor }) => cursor).toSorted((a, b) => a - b),
      );
      for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
    });

    test("gives data back as they came", async () => {
      const data = ["", "\0", "a\0b\0", "\ufeffa mark", "a\0 \ufeff \u{1f600}", "e\u0301"];
      await append(...data.map((each) => newEvent("a", each)));
      expect(texts((await read(0, all)).entries)).toEqual(data);
    });

    test("knows of each event whether its data was published as JSON", async () => {
      const kinds = [true, false, true];
      const tailed: boolean[] = [];
      const stop = log.tail({
        append: (entries) => void tailed.push(...entries.map(({ json }) => json)),
        reset: () => expect.unreachable(),
        skip: () => expect.unreachable(),
      });
      await append(...kinds.map((json, at) => newEvent("a", `${at}`, { json })));
      const { entries } = await read(0, all);
      expect(entries.map(({ json }) => json)).toEqual(kinds);
      for (const latest of [false, true]) {
        const page = await read(0, new SelectorSet(["a"]), { latest });
        expect(page.entries.map(({ json }) => json)).toEqual(latest ? [true] : kinds);
      }
      stop();
      expect(tailed).toEqual(kinds);
    });

    test("reads from every cursor, within the last event to consider", async () => {
      const seqs = await append(...["1", "2", "3", "4"].map((data) => newEvent("a", data)));
      for (const [index, seq] of seqs.entries()) {
        expect(texts((await read(seq, all)).entries)).toEqual(["1", "2", "3", "4"].slice(index + 1));
        const { entries, cursor } = await log.read(seqs[0]! - 1, all, { bytes: Infinity, upTo: seq });
        expect(texts(entries)).toEqual(["1", "2", "3", "4"].slice(0, index + 1));
        expect(cursor).toBe(seq);
      }
    });

    test("pages by bytes, gives at least one event, and leaves none out", async () => {
      await append(...Array.from({ length: 20 }, (_, at) => newEvent(at % 3 === 0 ? "a" : "b", `${at}`)));
      for (const bytes of [1, 50, 100, 300]) {
        const seen: string[] = [];
        let after = log.bounds().first - 1;
        for (let pages = 0; after < log.bounds().last; pages++) {
          expect(pages).toBeLessThan(21);
          const page = await read(after, new SelectorSet(["a"]), { bytes });
          seen.push(...texts(page.entries));
          expect(page.cursor).toBeGreaterThan(after);
          after = page.cursor;
        }
        expect(seen).toEqual(["0", "3", "6", "9", "12", "15", "18"]);
      }
    });

    test("selects by topics, patterns, and several that overlap, in the log's order", async () => {
      const topics = ["a", "a/b", "a/b/c", "b", "a/x", "b", "a/b"];
      await append(...topics.map((topic) => newEvent(topic, topic)));
      const cases: [string[], string[]][] = [
        [["a"], ["a"]],
        [
          ["b", "a/b"],
          ["a/b", "b", "b", "a/b"],
        ],
        [["a/*"], ["a/b", "a/x", "a/b"]],
        [["a/**"], ["a/b", "a/b/c", "a/x", "a/b"]],
        [["**"], topics],
        [
          ["a/*", "a/b", "a/**"],
          ["a/b", "a/b/c", "a/x", "a/b"],
        ],
        [["*/b/*"], ["a/b/c"]],
        [["nothing"], []],
      ];
      for (const [selectors, expected] of cases) {
        const set = new SelectorSet(selectors);
        expect(texts((await read(0, set)).entries)).toEqual(expected);
        expect((await resume(0, set)).replayed).toBe(expected.length);
      }
    });

    test("rewinds to the last events of a selection", async () => {
      await append(
        ...["1", "2", "3", "4", "5"].map((data) => newEvent(+data % 2 === 0 ? "even" : "odd", data)),
      );
      for (const [selector, expected] of [
        ["odd", ["1", "3", "5"]],
        ["**", ["1", "2", "3", "4", "5"]],
      ] as const) {
        const set = new SelectorSet([selector]);
        for (const count of [0, 1, 2, 3, 5, 1000, Infinity]) {
          const after = await beforeLast(count, set);
          const wanted = count === 0 ? [] : expected.slice(-Math.min(count, expected.length));
          expect(texts((await read(after, set)).entries)).toEqual(wanted);
        }
      }
    });

    test("with latest, keeps the newest event of each topic and key and says where it left some out", async () => {
      const [s1, , , s4, , s6] = await append(
        newEvent("a", "1", { key: "x" }),
        newEvent("a", "2", { key: "y" }),
        newEvent("b", "3", { key: "x" }),
        newEvent("a", "4", { key: "x" }),
        newEvent("b", "5", { key: "x" }),
        newEvent("a", "6", { key: "x" }),
      );
      const page = await read(0, all, { latest: true });
      expect(texts(page.entries)).toEqual(["2", "5", "6"]);
      expect(page.superseded).toEqual([s1!, s4!, 0, 0]);
      expect(page.cursor).toBe(s6!);
    });

    test("with latest, the end of a topic stands beside its newest event, and does not replace it", async () => {
      await append(
        newEvent("a", "1"),
        newEvent("a", "2"),
        newEvent("a", "", { end: true }),
        newEvent("b", "3"),
      );
      const { entries } = await read(0, all, { latest: true });
      expect(entries.map(({ end, wire }) => (end ? "end" : texts([{ wire } as StoredEvent])[0]))).toEqual([
        "2",
        "end",
        "3",
      ]);
    });

    test("publishes an id once in its topic, and answers a repetition as before", async () => {
      const [first] = await log.append([newEvent("a", "1", { idempotencyKey: "p" })]);
      const again = await log.append([
        newEvent("a", "2", { idempotencyKey: "q" }),
        newEvent("a", "other", { idempotencyKey: "p" }),
        newEvent("a", "2", { idempotencyKey: "q" }),
      ]);
      expect(again[1]).toBe(first);
      expect(again[2]).toBe(again[0]);
      expect(texts((await read(0, all)).entries)).toEqual(["1", "2"]);
      const [elsewhere] = await log.append([newEvent("b", "3", { idempotencyKey: "p" })]);
      expect(elsewhere).not.toBe(first!);
      expect(texts((await read(0, all)).entries)).toEqual(["1", "2", "3"]);
    });

    test("knows which topics have ended, and that a topic which goes on has not", async () => {
      const [, end] = await append(newEvent("a", "1"), newEvent("a", "", { end: true }), newEvent("b", "1"));
      expect(await endsOf("a", "b", "none")).toEqual([end!, 0, 0]);
      await append(newEvent("a", "2"));
      expect(await endsOf("a", "b", "none")).toEqual([0, 0, 0]);
    });

    test("tails what is appended from now on, joining a read without loss or repetition", async () => {
      await append(newEvent("a", "1"));
      const tailed: StoredEvent[] = [];
      const stop = log.tail({
        append: (entries) => void tailed.push(...entries),
        reset: () => expect.unreachable(),
        skip: () => expect.unreachable(),
      });
      await append(newEvent("a", "2"), newEvent("b", "3"));
      const { last } = log.bounds();
      const before = (await read(0, all)).entries.filter(({ seq }) => seq <= last);
      await append(newEvent("a", "4"));
      expect(texts(before)).toEqual(["1", "2", "3"]);
      expect(texts(tailed)).toEqual(["2", "3", "4"]);
      stop();
      await append(newEvent("a", "5"));
      expect(texts(tailed)).toEqual(["2", "3", "4"]);
    });

    test("evicts the oldest over the count, and says from where nothing is missing", async () => {
      await log.close();
      log = await open({ maxEvents: 5 });
      const seqs: number[] = [];
      for (let at = 0; at < 12; at++) seqs.push(...(await append(newEvent("a", `${at}`))));
      const page = await read(seqs[0]!, all);
      expect(texts(page.entries)).toEqual(["7", "8", "9", "10", "11"]);
      expect(page.from).toBe(seqs[6]!);
      expect(log.bounds()).toMatchObject({ first: seqs[6]! + 1, last: seqs[11]!, events: 5 });
      expect((await read(seqs[8]!, all)).from).toBe(seqs[8]!);
      expect(await resume(seqs[0]!, all)).toMatchObject({
        cursor: seqs[6]!,
        replayed: 5,
        upTo: seqs[11]!,
        resume: "reset",
        gap: "evicted",
      });
      const part = await log.read(seqs[0]!, all, { bytes: Infinity, upTo: seqs[3]! });
      expect(part).toMatchObject({ from: seqs[3]!, entries: [], cursor: seqs[3]! });
    });

    test("knows that a topic has ended when the event that ended it is gone, until the topic begins anew", async () => {
      await log.close();
      log = await open({ maxEvents: 5 });
      const [one, end] = await append(newEvent("a", "1"), newEvent("a", "", { end: true }));
      for (let at = 0; at < 8; at++) await append(newEvent("b", `${at}`));
      const a = new SelectorSet(["a"]);
      expect((await read(0, a)).entries).toEqual([]);
      // One that has had everything, and one that has not.
      expect(await resume(end!, a)).toMatchObject({
        cursor: end!,
        resume: "resumed",
        gap: null,
        ends: [end!],
      });
      const late = await resume(one! - 1, a);
      expect(late).toMatchObject({ resume: "reset", gap: "evicted", ends: [end!], replayed: 0 });
      expect(late.cursor).toBeGreaterThanOrEqual(end!);
      expect(await endsOf("a", "b")).toEqual([end!, 0]);
      await append(newEvent("a", "2"));
      for (let at = 0; at < 8; at++) await append(newEvent("b", `${at}`));
      expect(await endsOf("a")).toEqual([0]);
    });

    test("answers an id that is none, or of an event that nobody has, as of no use", async () => {
      const [seq] = await append(newEvent("a", "1"));
      const { epoch, last } = log.bounds();
      for (const id of ["x", formatEventId(epoch, last + 1_000_000_000), `${epoch}-`, `-${seq}`]) {
        expect(await position(all, id)).toMatchObject({ resume: "reset", gap: "unknown-id", cursor: last });
      }
      const other = epoch === "0000000000" ? "1111111111" : "0000000000";
      expect(await position(all, formatEventId(other, last))).toMatchObject({
        resume: "reset",
        gap: "epoch",
        replayed: 1,
      });
    });

    test("evicts the oldest over the bytes", async () => {
      await log.close();
      log = await open({ maxBytes: 20_000 });
      for (let at = 0; at < 100; at++) await append(newEvent("a", "x".repeat(1000)));
      const { bytes, events } = log.bounds();
      expect(bytes).toBeLessThanOrEqual(20_000);
      expect(events).toBeGreaterThan(5);
      expect((await read(0, all)).entries.length).toBe(events);
    });

    test("forgets the publisher's id with the event", async () => {
      await log.close();
      log = await open({ maxEvents: 2 });
      const publish = () => append(newEvent("a", "1", { idempotencyKey: "p" }));
      const [first] = await publish();
      expect(await publish()).toEqual([first!]);
      await append(newEvent("a", "2"));
      await append(newEvent("a", "3"));
      expect((await publish())[0]).toBeGreaterThan(first!);
    });

    const testAge = hasOwnClock === true ? () => {} : test;
    testAge("evicts by age, also when nothing is appended, and gives no number twice", async () => {
      await log.close();
      const clock = new ManualClock();
      log = await open({ maxAge: 5000, clock });
      const [first] = await append(newEvent("a", "1"));
      await clock.advance(3000);
      await append(newEvent("a", "2"));
      await clock.advance(3000);
      expect(log.bounds()).toMatchObject({ first: first! + 1, last: first! + 1, events: 1 });
      await clock.advance(4000);
      expect(log.bounds()).toMatchObject({ first: first! + 2, last: first! + 1, events: 0, bytes: 0 });
      expect(await append(newEvent("a", "3"))).toEqual([first! + 2]);
    });

    describe("of many events", () => {
      const TOPICS = ["a", "b", "a/b"];
      const topicOf = (at: number): string => TOPICS[(at * at) % 3]!;
      const fill = async (count: number): Promise<number[]> => {
        const seqs: number[] = [];
        for (let at = 0; at < count; at += 10) {
          seqs.push(
            ...(await append(
              ...Array.from({ length: 10 }, (_, i) =>
                newEvent(topicOf(at + i), `${at + i}`, { key: `${(at + i) % 7}` }),
              ),
            )),
          );
        }
        return seqs;
      };
      const pages = async (after: number, set: SelectorSet, bytes: number, latest = false) => {
        const entries: StoredEvent[] = [];
        const { last } = log.bounds();
        let { from } = await log.read(after, set, { bytes, upTo: last, latest });
        for (let cursor = after; cursor < last;) {
          const page = await log.read(cursor, set, { bytes, upTo: last, latest });
          expect(page.cursor).toBeGreaterThan(cursor);
          from = Math.max(from, cursor === after ? page.from : from);
          entries.push(...page.entries);
          cursor = page.cursor;
        }
        return { from, entries };
      };

      test.each([[["a"]], [["a", "b"]], [["**"]], [["*"]], [["a/*", "b"]], [["c"]]])(
        "%j can be read, counted and rewound from every cursor, at the ends and beyond",
        async (selectors) => {
          await log.close();
          log = await open({ maxEvents: 60 });
          const seqs = await fill(100);
          const set = new SelectorSet(selectors);
          const expected = seqs
            .map((seq, at) => ({ seq, topic: parseTopic(topicOf(at)), at }))
            .filter(({ topic }) => set.matches(topic));
          const { first, last } = log.bounds();
          expect([first, last]).toEqual([seqs[39]! + 1, seqs[99]!]);
          for (const after of [seqs[0]! - 1, ...seqs.filter((_, at) => at % stride === 0), last, last + 1]) {
            const wanted = expected.filter(({ seq }) => seq > after && seq >= first);
            const { from, entries } = await pages(after, set, 200);
            expect(entries.map(({ seq }) => seq)).toEqual(wanted.map(({ seq }) => seq));
            expect(texts(entries)).toEqual(wanted.map(({ at }) => `${at}`));
            const lost = expected.findLast(({ seq }) => seq > after && seq < first)?.seq;
            if (lost !== undefined) expect(from).toBeGreaterThanOrEqual(lost);
            expect(from).toBeLessThan(Math.max(first, after + 1));
            if (after > last) continue;
            expect(await resume(after, set)).toMatchObject({ replayed: wanted.length, upTo: last });
          }
          const held = expected.filter(({ seq }) => seq >= first);
          for (const count of [0, 1, 2, 7, held.length - 1, held.length, held.length + 1, Infinity]) {
            if (count < 0) continue;
            const { entries } = await pages(await beforeLast(count, set), set, Infinity);
            expect(entries.map(({ seq }) => seq)).toEqual(
              count === 0 ? [] : held.slice(-count).map(({ seq }) => seq),
            );
          }
        },
      );

      test("latest gives the newest of each topic and key, wherever the pages are cut", async () => {
        await fill(100);
        const newest = new Map<string, string>();
        for (let at = 0; at < 100; at++) newest.set(`${topicOf(at)} ${at % 7}`, `${at}`);
        for (const bytes of [1, 300, Infinity]) {
          const { entries } = await pages(0, all, bytes, true);
          expect(texts(entries)).toEqual([...newest.values()].toSorted((a, b) => +a - +b));
        }
      });

      test("what is tailed joins what is read, though there are appends meanwhile", async () => {
        await fill(50);
        const tailed: string[] = [];
        const stop = log.tail({
          append: (entries) => void tailed.push(...texts(entries)),
          reset: () => expect.unreachable(),
          skip: () => expect.unreachable(),
        });
        const { last } = log.bounds();
        const seen: string[] = [];
        for (let cursor = 0, at = 50; cursor < last; at++) {
          const page = log.read(cursor, all, { bytes: 200, upTo: last });
          await append(newEvent("a", `${at}`));
          const { entries, cursor: next } = await page;
          seen.push(...texts(entries));
          cursor = next;
        }
        stop();
        expect([...seen, ...tailed]).toEqual(
          Array.from({ length: seen.length + tailed.length }, (_, at) => `${at}`),
        );
        expect(seen.length).toBe(50);
      });
    });

    test("has no fault while it can keep events", () => {
      expect(log.fault).toBeNull();
    });

    if (reopen !== undefined)
      test("goes on where it stopped when it is opened again", async () => {
        const publish = (): NewEvent => newEvent("a", "1", { idempotencyKey: "p", key: "k" });
        const ids = await log.append([
          publish(),
          newEvent("b", "", { end: true }),
          newEvent("a", "2", { key: "k", json: true }),
        ]);
        const bounds = log.bounds();
        const { entries } = await read(0, all);
        await log.close();
        log = await reopen();
        // What the ids of before tell of is here, and ends where it did.
        const { epoch } = log.bounds();
        const last = formatEventId(bounds.epoch, bounds.last);
        expect(await position(all, last)).toMatchObject({
          resume: "resumed",
          gap: null,
          cursor: bounds.last,
        });
        expect(log.bounds()).toEqual({ ...bounds, epoch });
        expect((await read(0, all)).entries).toEqual([...entries]);
        expect(entries.map(({ json }) => json)).toEqual([false, false, true]);
        expect(texts((await read(0, all, { latest: true })).entries)).toEqual(['{"topic":"b"}', "2"]);
        expect(await endsOf("a", "b")).toEqual([0, parseEventId(ids[1]!)!.cursor]);
        expect(await log.append([publish()])).toEqual([ids[0]!]);
        expect((await append(newEvent("a", "3")))[0]).toBeGreaterThan(bounds.last);
      });

    test("refuses appends after it was closed", async () => {
      await log.close();
      await expect((async () => log.append([newEvent("a", "1")]))()).rejects.toThrow("closed");
    });
  });
}

/** How the suite comes to a log. */
export interface LogUnderTest {
  /** A new and empty log. */
  open: (options?: ContractRetention & { clock?: ManualClock }) => Promise<EventLog>;
  /** The log that was opened last and closed since, as the next process finds it; left out when nothing is kept. */
  reopen?: () => Promise<EventLog>;
  /** True for a log that goes by a clock of its own: it has tests of its own for the age of events. */
  hasOwnClock?: boolean;
  /** From every which of many events on it is read, one after the other; default 1. For a log that takes its time. */
  stride?: number;
}

/** What a log is opened with in the contract's tests; a log that lacks a bound leaves it out. */
export interface ContractRetention {
  /** See `Retention`. */
  maxEvents?: number;
  /** See `Retention`. */
  maxBytes?: number;
  /** See `Retention`. */
  maxAge?: number;
}

/** An event as a log is given it. */
export function newEvent(topic: string, data: string, more: Partial<NewEvent> = {}): NewEvent {
  const rest = { type: "", json: false, key: "", idempotencyKey: "", end: false };
  return { topic: parseTopic(topic), data, ...rest, ...more };
}
