import type { GroupResult } from "../generator.ts";
import { percentiles } from "../histogram.ts";
import { lowerBound } from "../load-meter.ts";
import type { Case, Scenario } from "../scenario.ts";
import { outcome, per, Stage } from "../stage.ts";

interface FanoutCase extends Case {
  readonly inFlight: number;
}

const DURATION = 4000;
/** Milliseconds of load before the measurement: compilers, allocators and buffers get to where they stay. */
const WARM_UP = 500;

export const fanout: Scenario<FanoutCase> = {
  name: "fanout",
  question:
    "What does it cost the server to bring one event to one stream, and how many deliveries a second does it make?",
  method:
    "All streams are of one topic. Publishers send their next event as soon as the last is answered; they wait when two " +
    "million deliveries are on their way, so that what is counted is what arrives. CPU is the server's, user and system. Memory is what " +
    "the streams, idle, added to a server that had been serving five hundred others and still held them.",
  doesNotShow:
    "Networks, TLS, and readers that are slower than loopback. With many in flight the generator may be the limit of the deliveries a " +
    "second; CPU per delivery does not depend on it. A server that answers a publisher before it has delivered to all can bring several " +
    "events at once even to one in flight. The time until a publish is answered holds what the generator itself is late.",
  needs: "streams",
  columns: [
    { key: "cpuPerDelivery", title: "CPU per delivery", unit: "microseconds" },
    { key: "deliveriesPerSecond", title: "deliveries/s", unit: "count" },
    { key: "eventsPerSecond", title: "events/s", unit: "count" },
    { key: "bytesPerStream", title: "memory per stream", unit: "bytes" },
    { key: "answerP99", title: "publish answered, p99", unit: "milliseconds" },
    { key: "generatorCpu", title: "generator CPU", unit: "share" },
  ],
  primary: "cpuPerDelivery",

  cases: ({ streams }) =>
    [1, 32].flatMap((inFlight) =>
      (streams === null ? [1000, 10_000] : [streams]).map((count) => ({
        label: `${count.toLocaleString("en")} streams, ${inFlight} in flight`,
        streams: count,
        inFlight,
      })),
    ),

  async run(peer, { streams, inFlight }, settings) {
    await using stage = await Stage.set(peer, streams, settings);
    const duration = settings.duration ?? DURATION;
    const { generator } = stage;
    const bytesPerStream = await stage.memoryPerStream(streams, () =>
      stage.open("streams", { streams, channels: inFlight }),
    );
    const publisher = stage.publisher(inFlight);

    const load = async (milliseconds: number): Promise<GroupResult> => {
      await publisher.during(milliseconds, () => generator.leastReceived, streams);
      return await stage.finish("streams", publisher);
    };
    const { tally: before } = await load(Math.min(WARM_UP, duration));
    const events = publisher.accepted;
    await stage.measure();
    publisher.answers.reset();
    const watch = stage.stopwatch();
    const result = await load(duration);
    const { cpu } = watch;
    const loads = await stage.load();

    const deliveries = result.tally.received - before.received;
    const seconds = watch.seconds(result.lastReceipt);
    return outcome(result, publisher, {
      figures: {
        cpuPerDelivery: per(cpu, deliveries, 1e6),
        deliveriesPerSecond: deliveries / seconds,
        eventsPerSecond: (publisher.accepted - events) / seconds,
        bytesPerStream,
        answerP99: percentiles(publisher.answers).p99,
        generatorCpu: Math.max(...loads.map((each) => each.cpu)),
      },
      notes: lowerBound("deliveries/s", loads),
    });
  },
};
