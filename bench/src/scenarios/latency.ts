import { percentiles } from "../histogram.ts";
import { openLoop } from "../open-loop.ts";
import type { Case, Scenario } from "../scenario.ts";
import { outcome, per, Stage } from "../stage.ts";

const DURATION = 10_000;
const RATE = 100;
/** So many streams get so few events that neither the server nor the generator is ever behind. */
const MANY = 10_000;
const RATE_OF_MANY = 10;
const IN_FLIGHT = 32;

interface LatencyCase extends Case {
  /** Events a second. */
  readonly rate: number;
}

export const latency: Scenario<LatencyCase> = {
  name: "latency",
  question:
    "How long does an event take from the time it should have been published until each stream has it?",
  method:
    "Open loop: events are due at a fixed rate, whatever the server does, and the time of each delivery counts from when its event was " +
    "due. So it holds the publish request, the server, and the wait of the last stream for the ones before it.",
  doesNotShow:
    "Networks. A timer of the generator may be a millisecond late, and that is in the figures; streams are served in turn, so that the " +
    "high percentiles are those of the last ones.",
  needs: "streams",
  columns: [
    { key: "p50", title: "p50", unit: "milliseconds" },
    { key: "p90", title: "p90", unit: "milliseconds" },
    { key: "p99", title: "p99", unit: "milliseconds" },
    { key: "p999", title: "p99.9", unit: "milliseconds" },
    { key: "max", title: "max", unit: "milliseconds" },
    { key: "answerP99", title: "publish answered, p99", unit: "milliseconds" },
    { key: "cpu", title: "server CPU", unit: "share" },
    { key: "lateness", title: "published late, p99", unit: "milliseconds" },
  ],
  primary: "p99",

  cases: ({ streams, rate }) =>
    (streams === null ? [100, 1000, MANY] : [streams]).map((count) => {
      const each = rate ?? (count < MANY ? RATE : RATE_OF_MANY);
      return {
        label: `${count.toLocaleString("en")} streams, ${each} events/s`,
        streams: count,
        rate: each,
      };
    }),

  async run(peer, { streams, rate }, settings) {
    await using stage = await Stage.set(peer, streams, settings);
    await stage.open("streams", { streams, channels: IN_FLIGHT });
    await stage.settle();
    const publisher = stage.publisher(IN_FLIGHT);
    const watch = stage.stopwatch();
    const trust = await openLoop(stage, publisher, rate, settings.duration ?? DURATION);
    const cpu = per(watch.cpu, watch.seconds());
    const result = await stage.finish("streams", publisher);
    return outcome(result, publisher, {
      figures: {
        ...percentiles(result.latency),
        answerP99: percentiles(publisher.answers).p99,
        cpu,
        lateness: percentiles(publisher.lateness).p99,
      },
      ...trust,
    });
  },
};
