import autocannon from "autocannon";
import { LoadMeter, lowerBound } from "../load-meter.ts";
import { createMark, payload as payloadText } from "../payload.ts";
import type { Case, Scenario } from "../scenario.ts";
import { outcome, PAYLOAD_BYTES, per, Stopwatch, TOPIC } from "../stage.ts";
import { now } from "../clock.ts";

interface PublishCase extends Case {
  /** Events in a request. */
  readonly batch: number;
  readonly connections: number;
}

const DURATION = 5000;
const BATCH = 1000;

export const publish: Scenario<PublishCase> = {
  name: "publish",
  question: "How many events does the publish endpoint take when nobody listens?",
  method:
    "autocannon, closed loop: every connection sends its next request when the last is answered. One event in a request, or an " +
    "array of a thousand, as JSON.",
  doesNotShow: "The cost of delivery. Latencies of a closed loop flatter a server that stalls.",
  needs: "none",
  columns: [
    { key: "eventsPerSecond", title: "events/s", unit: "count" },
    { key: "requestsPerSecond", title: "requests/s", unit: "count" },
    { key: "cpuPerEvent", title: "CPU per event", unit: "microseconds" },
    { key: "p99", title: "p99, to the ms", unit: "milliseconds" },
  ],
  primary: "cpuPerEvent",

  cases: () => [
    { label: "one event, 1 connection", streams: 0, batch: 1, connections: 1 },
    { label: "one event, 32 connections", streams: 0, batch: 1, connections: 32 },
    { label: "arrays of 1,000, 4 connections", streams: 0, batch: BATCH, connections: 4 },
  ],

  async run(peer, { batch, connections }, { duration, payload }) {
    if (peer.jsonUrl === null) return outcome(null, null, { figures: {}, notes: ["it takes no JSON"] });
    const event = { topic: TOPIC, data: payloadText(createMark(), 0, 0, now(), payload ?? PAYLOAD_BYTES) };
    const body = JSON.stringify(batch === 1 ? event : Array.from({ length: batch }, () => event));
    using meter = new LoadMeter();
    const watch = new Stopwatch(peer);
    const seconds = (duration ?? DURATION) / 1000;
    const result = await autocannon({
      url: peer.jsonUrl,
      headers: { "content-type": "application/json" },
      body,
      method: "POST",
      connections,
      duration: seconds,
    });
    const { cpu } = watch;
    const events = result["2xx"] * batch;
    const refused = { "status not 2xx": result.non2xx, errors: result.errors, timeouts: result.timeouts };
    return outcome(null, null, {
      published: events,
      figures: {
        eventsPerSecond: events / result.duration,
        requestsPerSecond: result["2xx"] / result.duration,
        cpuPerEvent: per(cpu, events, 1e6),
        p99: result.latency.p99,
      },
      refused: Object.fromEntries(Object.entries(refused).filter(([, count]) => count > 0)),
      notes: lowerBound("events/s", [meter.report()]),
    });
  },
};
