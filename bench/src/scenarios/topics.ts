import type { Scenario } from "../scenario.ts";
import { outcome, per, Stage } from "../stage.ts";
import { pathOf } from "../target.ts";

const FEW = 10;
const STREAMS = 10_000;
const DURATION = 4000;
const IN_FLIGHT = 8;
/** Milliseconds of load before the measurement; see fanout. */
const WARM_UP = 1000;

export const topics: Scenario = {
  name: "topics",
  question:
    "Does publishing to one topic cost more when there are ten thousand of them, each with its own stream?",
  method:
    "Every topic has one stream, and every event goes to the next topic in turn: one delivery for each event. Eight publishers send " +
    "their next event when the last is answered. A delivery on a stream of another topic would be counted as a fault. " +
    "Memory is what the streams, idle, added to a server that had been serving five hundred others and still held them.",
  doesNotShow: "Patterns over topics, and topics with many streams, which is what fanout is for.",
  needs: "topics",
  columns: [
    { key: "cpuPerEvent", title: "CPU per event", unit: "microseconds" },
    { key: "eventsPerSecond", title: "events/s", unit: "count" },
    { key: "bytesPerStream", title: "memory per stream", unit: "bytes" },
  ],
  primary: "cpuPerEvent",

  cases: ({ streams }) =>
    [Math.min(FEW, streams ?? FEW), streams ?? STREAMS].map((count) => ({
      label: `${count.toLocaleString("en")} topics`,
      streams: count,
    })),

  async run(peer, { streams }, settings) {
    await using stage = await Stage.set(peer, streams, settings);
    const duration = settings.duration ?? DURATION;
    const { generator } = stage;
    const names = Array.from({ length: streams }, (_, index) => `bench/${index}`);
    const bytesPerStream = await stage.memoryPerStream(streams, () =>
      stage.open("streams", {
        streams,
        channels: 1,
        ownChannels: true,
        paths: names.map((name) => pathOf(peer.eventsUrl(name))),
      }),
    );
    const publisher = stage.publisher(Math.min(IN_FLIGHT, streams), names);
    const load = (milliseconds: number): Promise<void> =>
      publisher.during(milliseconds, () => generator.progress.received, 1);
    await load(Math.min(WARM_UP, duration));
    await stage.finish("streams", publisher);
    await stage.measure();
    const [watch, before] = [stage.stopwatch(), publisher.accepted];
    await load(duration);
    const seconds = watch.seconds();
    const result = await stage.finish("streams", publisher);
    const events = publisher.accepted - before;
    return outcome(result, publisher, {
      figures: {
        cpuPerEvent: per(watch.cpu, events, 1e6),
        eventsPerSecond: events / seconds,
        bytesPerStream,
      },
    });
  },
};
