import { expect, test } from "bun:test";
import { newEvent } from "../../testing/log-contract.ts";
import { SelectorSet } from "../../topics/topic.ts";
import type { BrokerRecord } from "../broker/broker.ts";
import { Semaphore } from "../broker/semaphore.ts";
import { SLOTS } from "./message.ts";
import type { NatsReader } from "./reader.ts";
import { Scan } from "./scan.ts";

/** A scan of messages 1 to 3, whose consumer says so often that there are none. */
function scan(refusals: number): Scan {
  let left = [1, 2, 3].map((at): BrokerRecord => ({
    seq: at * SLOTS,
    mark: "",
    event: newEvent("t", `${at}`),
    time: 0,
  }));
  const reader = {
    pending: 0,
    weight: (bytes: number) => bytes,
    pull: async () => {
      if (refusals-- > 0) return { kept: [], last: 0, count: 0, ended: true };
      const kept = left;
      left = [];
      return { kept, last: kept.length === 0 ? 0 : 3, count: kept.length, ended: true };
    },
    hasMore: async (after: number, upTo: number) =>
      left.some(({ seq }) => seq > after * SLOTS && seq <= upTo * SLOTS),
    close: () => {},
  };
  return new Scan(new SelectorSet(["t"]), 0, [reader as unknown as NatsReader], false, new Semaphore(1e9));
}

const AMOUNT = { messages: 16, bytes: 1000 };

test.each([0, 1, 5])("a consumer that says %i times that it has nothing is asked again", async (refusals) => {
  const { kept, cursor } = await scan(refusals).read(0, 10 * SLOTS, AMOUNT);
  expect(kept.map(({ seq }) => seq / SLOTS)).toEqual([1, 2, 3]);
  if (cursor < 10 * SLOTS) expect(cursor).toBe(3 * SLOTS);
});

test("a consumer that never gives what there is fails: nothing is left out in silence", async () => {
  await expect(scan(Infinity).read(0, 10 * SLOTS, AMOUNT)).rejects.toThrow(
    "does not give what the stream has",
  );
});
