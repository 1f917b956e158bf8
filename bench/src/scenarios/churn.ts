import { percentiles } from "../histogram.ts";
import { openLoop } from "../open-loop.ts";
import type { Case, Scenario } from "../scenario.ts";
import { difference, outcome, per, Stage } from "../stage.ts";

interface ChurnCase extends Case {
  /** Connects a second, or null for as many as there can be. */
  readonly pace: number | null;
}

const STREAMS = 1000;
const DURATION = 6000;
const RATE = 100;
const IN_FLIGHT = 16;
/** Clients that connect and leave, over and over. */
const RESTLESS = 64;
const PACE = 500;

export const churn: Scenario<ChurnCase> = {
  name: "churn",
  question: "How many streams can come and go, and what do those that stay notice of it?",
  method:
    `${RESTLESS} clients connect and leave as soon as their stream is open, over and over, while events are published at a fixed rate ` +
    "to streams that stay. Those must get every event. At a fixed pace of connects, their latency is measured, open loop; " +
    "without one, the generator is as busy as the server, and latencies would be its own.",
  doesNotShow: "Clients that leave without closing their connection.",
  needs: "streams",
  columns: [
    { key: "cyclesPerSecond", title: "connects/s", unit: "count" },
    { key: "cpu", title: "server CPU", unit: "share" },
    { key: "p50", title: "p50 of the stayers", unit: "milliseconds" },
    { key: "p99", title: "p99 of the stayers", unit: "milliseconds" },
    { key: "grown", title: "memory grown", unit: "bytes" },
  ],
  primary: "cyclesPerSecond",

  cases: ({ streams }) =>
    [PACE, null].map((pace) => ({
      label: `${(streams ?? STREAMS).toLocaleString("en")} stay, ${pace === null ? "as many connects as go" : `${pace} connects/s`}`,
      streams: streams ?? STREAMS,
      pace,
    })),

  async run(peer, { streams, pace }, settings) {
    const time = settings.duration ?? DURATION;
    await using stage = await Stage.set(peer, streams + RESTLESS, settings);
    const { generator } = stage;
    await stage.open("stayers", { streams, channels: IN_FLIGHT });
    await stage.open("restless", { streams: RESTLESS, channels: IN_FLIGHT, sampleEvery: 0 });
    await generator.disconnect("restless");
    await stage.settle();
    const publisher = stage.publisher(IN_FLIGHT);
    const [watch, memory] = [stage.stopwatch(), stage.resident()];
    const [trust] = await Promise.all([
      openLoop(stage, publisher, settings.rate ?? RATE, time),
      generator.churn("restless", time, pace === null ? 0 : (1000 * RESTLESS) / pace),
    ]);
    const seconds = watch.seconds();
    const result = await stage.finish("stayers", publisher);
    const grown = difference(stage.resident(), memory);
    const { cycles, failures } = await generator.report("restless");
    const { p50, p99 } = percentiles(result.latency);
    return outcome(result, publisher, {
      figures: {
        cyclesPerSecond: (cycles / time) * 1000,
        cpu: per(watch.cpu, seconds),
        ...(pace === null ? { p50: null, p99: null } : { p50, p99 }),
        grown,
      },
      failures: Object.fromEntries([...result.failures, ...failures]),
      ...(pace === null ? {} : trust),
    });
  },
};
