import { lowerBound } from "../load-meter.ts";
import type { Scenario } from "../scenario.ts";
import { outcome, per, Stage } from "../stage.ts";

const STREAMS = 1000;
const EVENTS = 10_000;
/** One after another, so that one cursor stands before all of them. */
const IN_FLIGHT = 1;

export const replay: Scenario = {
  name: "replay",
  question: "How fast are streams given what they missed?",
  method:
    "A stream takes the id of an event; more events are published; then all streams connect with that id as their `Last-Event-ID`, " +
    "and each has to be given every event after it, once and in order.",
  doesNotShow:
    "Logs on disk or on another machine. Streams that ask for different parts of the log cost more than these.",
  needs: "resumes",
  columns: [
    { key: "all", title: "until all have all", unit: "seconds" },
    { key: "deliveriesPerSecond", title: "deliveries/s", unit: "count" },
    { key: "cpuPerDelivery", title: "CPU per delivery", unit: "microseconds" },
    { key: "resident", title: "server memory", unit: "bytes" },
  ],
  primary: "cpuPerDelivery",

  cases({ streams, events }) {
    const count = streams ?? STREAMS;
    const label = `${count.toLocaleString("en")} streams, ${(events ?? EVENTS).toLocaleString("en")} events missed`;
    return [{ label, streams: count }];
  },

  async run(peer, { streams }, settings) {
    await using stage = await Stage.set(peer, streams + 1, settings);
    const { generator } = stage;
    await stage.open("probe", { streams: 1, channels: 1 });
    await stage.settle();
    const before = stage.publisher(IN_FLIGHT);
    await before.publish(1);
    await stage.finish("probe", before);
    const cursor = await generator.cursor("probe");
    await generator.disconnect("probe");

    // Of channel 0 too, which these streams count from its first number on: the event before the cursor is under another mark.
    stage.renewMark();
    const publisher = stage.publisher(IN_FLIGHT);
    await publisher.publish(settings.events ?? EVENTS);
    await stage.measure();
    const watch = stage.stopwatch();
    await stage.open("streams", { streams, channels: 1, headers: { "last-event-id": cursor } });
    const result = await stage.finish("streams", publisher);
    const { cpu } = watch;
    const loads = await stage.load();
    const seconds = watch.seconds(result.lastReceipt);
    return outcome(result, publisher, {
      figures: {
        all: seconds,
        deliveriesPerSecond: result.tally.received / seconds,
        cpuPerDelivery: per(cpu, result.tally.received, 1e6),
        resident: stage.resident(),
      },
      notes: lowerBound("deliveries/s", loads),
    });
  },
};
