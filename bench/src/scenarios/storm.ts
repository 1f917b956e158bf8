import { percentiles } from "../histogram.ts";
import type { Case, Scenario } from "../scenario.ts";
import { outcome, per, Stage } from "../stage.ts";

interface StormCase extends Case {
  readonly resume: boolean;
}

const EVENTS = 10;
/** Missed by each stream that resumes. */
const MISSED = 100;
const IN_FLIGHT = 8;
/** Until the server has seen that everybody is gone; milliseconds. */
const GONE = 500;
/** A SYN that finds the backlog full is sent again after 1, 3, 7, 15 seconds. */
const OPEN_WITHIN = 40_000;

export const storm: Scenario<StormCase> = {
  name: "storm",
  question:
    "When everybody connects at once, how long until all are served, and do those who resume get all they missed?",
  method:
    "All streams connect in the same moment. Without a cursor: until the last has the head of its stream. With one: all are cut off, " +
    "events are published while they are away, all reconnect with their `Last-Event-ID`, until the last has its last event.",
  doesNotShow:
    "TLS handshakes, and clients that spread their reconnects, as a server can tell them to with `retry:`. Connecting costs the generator " +
    "about as much as the server.",
  needs: "streams",
  columns: [
    { key: "all", title: "until all are served", unit: "seconds" },
    { key: "openP50", title: "stream open, p50", unit: "milliseconds" },
    { key: "openP99", title: "stream open, p99", unit: "milliseconds" },
    { key: "cpuPerStream", title: "CPU per stream", unit: "microseconds" },
  ],
  primary: "all",

  cases({ streams, events }) {
    const count = streams ?? 10_000;
    const label = `${count.toLocaleString("en")} streams`;
    return [
      { label: `${label} connect`, streams: count, resume: false },
      { label: `${label} resume, ${events ?? MISSED} events missed`, streams: count, resume: true },
    ];
  },

  async run(peer, { streams, resume }, settings) {
    await using stage = await Stage.set(peer, streams, settings);
    const { generator } = stage;
    const common = { streams, channels: IN_FLIGHT, openWithin: OPEN_WITHIN };
    const publisher = stage.publisher(IN_FLIGHT);
    let watch = stage.stopwatch();
    if (resume) {
      // Each resumes from where it was itself, so all are decoded.
      await stage.open("streams", { ...common, sampleEvery: 1 });
      await stage.settle();
      await publisher.publish(EVENTS);
      await stage.finish("streams", publisher);
      await generator.disconnect("streams");
      await Bun.sleep(GONE);
      await publisher.publish(settings.events ?? MISSED);
      await generator.measure(Infinity);
      watch = stage.stopwatch();
      await generator.reconnect("streams", streams);
      await stage.finish("streams", publisher);
    } else {
      await stage.open("streams", { ...common, inFlight: streams });
    }
    const { cpu } = watch;
    if (!resume) {
      // Open is not yet served: they have to get events as well.
      await stage.settle();
      await publisher.publish(EVENTS);
      await stage.finish("streams", publisher);
    }
    const result = await generator.report("streams");
    const opening = percentiles(result.opening);
    return outcome(result, publisher, {
      figures: {
        all: watch.seconds(resume ? Math.max(result.lastReceipt, result.lastOpen) : result.lastOpen),
        openP50: opening.p50,
        openP99: opening.p99,
        cpuPerStream: per(cpu, result.open, 1e6),
      },
    });
  },
};
