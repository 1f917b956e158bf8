import { percentiles } from "../histogram.ts";
import { openLoop } from "../open-loop.ts";
import type { Case, Scenario } from "../scenario.ts";
import { difference, outcome, Stage } from "../stage.ts";

interface SlowCase extends Case {
  /** How many of the streams never read. */
  readonly stalled: number;
}

const STREAMS = 300;
const DURATION = 6000;
const RATE = 100;
const IN_FLIGHT = 16;
/** More than the kernel holds for a connection over loopback, about 4 MB: so that those who do not read are blocked. */
const FILL_BYTES = 8 * 1024 * 1024;
const EVENT_BYTES = 16 * 1024;

export const slow: Scenario<SlowCase> = {
  name: "slow",
  question: "What do streams that never read cost the others, and the server's memory?",
  method:
    "A tenth of the streams stop to read once they are open. First 8 MB of events are published, so that their sockets are full; then " +
    "latency is measured on those that read, open loop, with small events. The same load with all reading stands beside it.",
  doesNotShow:
    "Readers that read, but slowly. Part of what stalled streams hold is the kernel's memory, which is nobody's in these figures.",
  needs: "streams",
  columns: [
    { key: "p50", title: "p50 of the rest", unit: "milliseconds" },
    { key: "p99", title: "p99 of the rest", unit: "milliseconds" },
    { key: "max", title: "max of the rest", unit: "milliseconds" },
    { key: "resident", title: "server memory", unit: "bytes" },
    { key: "grown", title: "of it grown under load", unit: "bytes" },
  ],
  primary: "p99",

  cases({ streams }) {
    const count = streams ?? STREAMS;
    const stalled = Math.ceil(count / 10);
    const label = `${count.toLocaleString("en")} streams`;
    return [
      { label: `${label}, all read`, streams: count, stalled: 0 },
      { label: `${label}, ${stalled} of them never read`, streams: count, stalled },
    ];
  },

  async run(peer, { streams, stalled }, settings) {
    const { duration, rate, events } = settings;
    await using stage = await Stage.set(peer, streams, { ...settings, payload: EVENT_BYTES });
    const { generator } = stage;
    const channels = IN_FLIGHT;
    await stage.open("reading", { streams: streams - stalled, channels });
    if (stalled > 0) await stage.open("stalled", { streams: stalled, channels, stalls: true });
    await stage.settle();
    const empty = stage.resident();
    const publisher = stage.publisher(IN_FLIGHT);
    await publisher.publish(events ?? FILL_BYTES / EVENT_BYTES, () => generator.leastReceived);
    await stage.finish("reading", publisher);

    publisher.payloadBytes = 64;
    const { voids, notes } = await openLoop(stage, publisher, rate ?? RATE, duration ?? DURATION);
    const result = await stage.finish("reading", publisher);
    const resident = stage.resident();
    const grown = difference(resident, empty);
    const cut = stalled === 0 ? 0 : (await generator.report("stalled")).dropped;
    return outcome(result, publisher, {
      figures: { ...percentiles(result.latency), resident, grown },
      voids,
      notes:
        cut === 0 ? notes : [...notes, `the server cut off ${cut} of the ${stalled} streams that never read`],
    });
  },
};
