import { describe, expect, test } from "bun:test";
import { EventRing } from "./event-ring.ts";
import { explorerUrl, parseSelectors } from "./explorer-query.ts";
import { Ledger } from "./ledger.ts";
import { sharingOf, sharingWords } from "./sharing.ts";
import type { WireEvent } from "./wire-reader.ts";

function accountOf(published: number, tell: (ledger: Ledger) => void) {
  const ledger = new Ledger();
  tell(ledger);
  const { missing, skipped, duplicates, outOfOrder, received } = ledger.account(published);
  return { received, missing, skipped, duplicates, outOfOrder };
}

describe("a ledger", () => {
  test("finds what is missing without a word", () => {
    const account = accountOf(5, (ledger) => [1, 2, 4].forEach((n) => ledger.event(n)));
    expect(account).toEqual({ received: 3, missing: 2, skipped: 0, duplicates: 0, outOfOrder: 0 });
  });

  test("takes a hole for told only where a gap stands before it, and only once", () => {
    const account = accountOf(9, (ledger) => {
      ledger.event(1);
      ledger.gap("lag", "e-1", "e-4");
      ledger.event(5);
      ledger.event(7);
      ledger.gap("lag", "e-7", "e-9");
    });
    expect(account).toEqual({ received: 3, missing: 1, skipped: 5, duplicates: 0, outOfOrder: 0 });
  });

  test("counts what comes twice, and what comes late", () => {
    const account = accountOf(4, (ledger) => [1, 2, 2, 4, 3].forEach((n) => ledger.event(n)));
    expect(account).toEqual({ received: 4, missing: 0, skipped: 0, duplicates: 1, outOfOrder: 1 });
  });

  test("adds up what was replayed on the way back", () => {
    const ledger = new Ledger();
    ledger.ready("fresh", 7);
    ledger.ready("resumed", 30);
    ledger.ready("reset", 2);
    expect(ledger.account(0)).toMatchObject({ replayed: 32, resumes: 2 });
  });
});

test("a ring keeps the newest, and knows how many there were", () => {
  const ring = new EventRing(3);
  for (let n = 1; n <= 5; n++) ring.add({ data: String(n) } as WireEvent);
  expect([ring.total, ring.length]).toEqual([5, 3]);
  expect([2, 3, 5, 6].map((number) => ring.get(number)?.data)).toEqual([undefined, "3", "5", undefined]);
  ring.clear();
  expect([ring.total, ring.get(5)]).toEqual([0, undefined]);
});

test("large data is kept in part, so that the ring is bounded in bytes", () => {
  const ring = new EventRing(1);
  ring.add({ data: "x".repeat(1_000_000) } as WireEvent);
  expect(ring.get(1)!.data).toHaveLength(16 * 1024);
});

test("the explorer asks for what its form says", () => {
  expect(parseSelectors(" a/b, c/*\n a/b  https://x/y ")).toEqual(["a/b", "c/*", "https://x/y"]);
  const query = { selectors: ["a b", "c/**"], replay: "10", lag: "catch-up", from: "" };
  expect(explorerUrl(query)).toBe("/events?topic=a+b&topic=c%2F**&replay=10");
  expect(explorerUrl({ ...query, replay: "", lag: "latest" })).toBe(
    "/events?topic=a+b&topic=c%2F**&lag=latest",
  );
});

test("who leads is read off the locks", () => {
  const held = [
    { name: "page tab 1", clientId: "a" },
    { name: "page tab 2", clientId: "b" },
    { name: 'sse ["/events"]', clientId: "b" },
    { name: 'sse ["/stats/events"]', clientId: "b" },
    { name: "something else", clientId: "a" },
  ];
  const follower = sharingOf(held, "page tab 1");
  expect(follower).toEqual({ tabs: 2, connections: 2, held: 0 });
  expect(sharingWords(follower)).toBe("2 tabs share 2 connections: another one leads");
  expect(sharingWords(sharingOf(held, "page tab 2"))).toEndWith("this one leads");
  expect(sharingWords({ tabs: 1, connections: 3, held: 3 })).toBe("");
});
