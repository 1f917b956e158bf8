import { expect, test } from "bun:test";
import { connect, dataOf } from "../../test/client.ts";
import { createHub, MemoryLog } from "../index.ts";
import { ManualClock } from "../testing/manual-clock.ts";

test.each(["plain", "json"] as const)(
  "a turn gives out no more bytes than as many frames, and one event more: %s",
  async (form) => {
    const envelope = form === "json" ? form : undefined;
    const clock = new ManualClock();
    const frameBytes = 1000;
    const hub = createHub({
      clock,
      log: new MemoryLog({ clock }),
      maxFrameBytes: frameBytes,
      writesPerTurn: 128, // 4 slices
    });
    const data = Array.from({ length: 8 }, (_, at) => `${at}${"\u0001".repeat(3000)}`);
    for (const each of data) void hub.publish("t", { data: each });
    await clock.settle();
    const clients = data.map((_, at) => connect(hub, { replay: at + 1, envelope }));
    const sent = (): number => clients.reduce((sum, { sink }) => sum + sink.text.length, 0);
    let most = 0;
    for (let before = sent(); clock.turn(); before = sent()) most = Math.max(most, sent() - before);
    const largest = envelope === "json" ? 6 * 3000 : 3000;
    expect(most).toBeGreaterThan(largest);
    expect(most).toBeLessThan(4 * frameBytes + largest + 200);
    for (const [at, { sink }] of clients.entries()) {
      const seen = dataOf(sink);
      const texts = envelope ? seen.map((text) => (JSON.parse(text) as { data: string }).data) : seen;
      expect(texts).toEqual(data.slice(data.length - at - 1));
    }
  },
);
