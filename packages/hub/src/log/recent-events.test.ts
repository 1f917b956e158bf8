import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Position } from "./event-log.ts";
import { newEvent } from "../testing/log-contract.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { storedEvent } from "./stored-event.ts";
import { parseTopic, SelectorSet } from "../topics/topic.ts";
import { RecentEvents } from "./recent-events.ts";
import { ENDS } from "./retention.ts";

const SELECTORS = ["a", "b", "a/*", "**", "none"];

/** A window for which the log numbers its events 10, 20, 30..., and one for which it numbers them 1, 2, 3... */
function pair(maxEvents: number): { dense: RecentEvents; sparse: RecentEvents } {
  const limits = { maxEvents, maxBytes: Infinity, maxAge: Infinity };
  const clock = new ManualClock();
  return { dense: new RecentEvents(limits, clock), sparse: new RecentEvents(limits, clock) };
}

function ask(
  recent: RecentEvents,
  selectors: SelectorSet,
  cursor: number | null,
  replay: number,
): Position | null {
  const { first, last, events, bytes } = recent;
  const bounds = { epoch: "e".repeat(10), first, last, events, bytes };
  const lastSeen = { resume: "fresh", cursor, gap: null } as const;
  const elsewhere = { isEmpty: () => false, position: () => null };
  const request = { selectors, replay, lastEventId: "", counted: true };
  return recent.position(lastSeen, request, bounds, elsewhere) as Position | null;
}

/** The cursor of a dense log that stands where this one of the sparse log does. */
const toDense = (cursor: number): number => Math.floor(cursor / 10);

test("a log may leave numbers out: the window answers as if it had not", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "b", "a/x", "a/y"), { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 650 }),
      fc.integer({ min: 0, max: 70 }),
      fc.constantFrom(...SELECTORS),
      fc.boolean(),
      (topics, maxEvents, after, count, selector, latest) => {
        const { dense, sparse } = pair(maxEvents);
        for (const [at, topic] of topics.entries()) {
          dense.push(storedEvent("e".repeat(10), at + 1, newEvent(topic, `${at}`)), 0);
          sparse.push(storedEvent("e".repeat(10), (at + 1) * 10, newEvent(topic, `${at}`)), 0);
          dense.evict(0);
          sparse.evict(0);
        }
        const set = new SelectorSet([selector]);
        const limits = { bytes: 200, upTo: Infinity, latest };
        const [one, other] = [dense.read(toDense(after), set, limits), sparse.read(after, set, limits)];
        expect(other.entries.map(({ seq }) => seq / 10)).toEqual(one.entries.map(({ seq }) => seq));
        expect(other.superseded?.map((seq) => seq / 10)).toEqual(one.superseded?.map((seq) => seq));
        if (other.cursor !== after) expect(toDense(other.cursor)).toBe(one.cursor);
        const from = sparse.floor(after, set);
        expect(ask(sparse, set, from, 0)?.replayed).toBe(ask(dense, set, toDense(from), 0)?.replayed);
        const cursorOf = (log: RecentEvents): number | null => ask(log, set, null, count)?.cursor ?? null;
        const [near, far] = [cursorOf(dense), cursorOf(sparse)];
        expect(far === null ? null : Math.ceil(far / 10) - (far % 10 === 0 ? 0 : 1)).toBe(near);
        expect([sparse.events, sparse.end(parseTopic("a"))]).toEqual([
          dense.events,
          dense.end(parseTopic("a")),
        ]);
      },
    ),
  );
});

test("an end that is too old to be remembered is not known, which is not to say that the topic goes on", () => {
  const recent = new RecentEvents({ maxEvents: 1, maxBytes: Infinity, maxAge: Infinity }, new ManualClock());
  const [ended, other] = [parseTopic("ended"), parseTopic("other")];
  const push = (seq: number, topic: string, end = false): void =>
    recent.push(storedEvent("e".repeat(10), seq, newEvent(topic, "", { end })), 0);
  push(1, "other");
  push(2, "ended", true);
  push(3, "last");
  recent.evict(ENDS.age);
  expect([recent.end(other), recent.end(ended), recent.end(parseTopic("never"))]).toEqual([0, 2, undefined]);
  recent.evict(ENDS.age + 1);
  expect([recent.end(other), recent.end(ended)]).toEqual([0, undefined]);
  expect(recent.floor(0, new SelectorSet(["ended"]))).toBe(2);
});
