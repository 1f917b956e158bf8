import autocannon from "autocannon";
import { LoadMeter, saturation } from "../load-meter.ts";
import { createMark, payload as payloadText } from "../payload.ts";
import type { PublishRequest } from "../peers/peer.ts";
import { cpuSeconds } from "../procfs.ts";
import type { Case, Scenario } from "../scenario.ts";
import { difference, outcome, PAYLOAD_BYTES, per, TOPIC } from "../stage.ts";
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
    "autocannon, closed loop: every connection sends its next request when the last is answered. One event in a request, or a JSON " +
    "array of a thousand where the server takes one.",
  doesNotShow: "The cost of delivery. Latencies of a closed loop flatter a server that stalls.",
  needs: null,
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
    const data = payloadText(createMark(), 0, 0, now(), payload ?? PAYLOAD_BYTES);
    const single = peer.publish(TOPIC);
    const request = batch === 1 ? { ...single, text: single.body(data) } : arrayOf(single, data, batch);
    if (batch > 1 && !(await takes(request, batch))) {
      return outcome(null, null, { figures: {}, notes: ["it takes no arrays"] });
    }
    using meter = new LoadMeter();
    const cpu = cpuSeconds(peer.pids);
    const { url, headers, text } = request;
    const seconds = (duration ?? DURATION) / 1000;
    const result = await autocannon({
      url,
      headers,
      body: text,
      method: "POST",
      connections,
      duration: seconds,
    });
    const used = difference(cpuSeconds(peer.pids), cpu);
    const events = result["2xx"] * batch;
    const { cpu: busy } = saturation([meter.report()]);
    const refused = { "status not 2xx": result.non2xx, errors: result.errors, timeouts: result.timeouts };
    return outcome(null, null, {
      published: events,
      figures: {
        eventsPerSecond: events / result.duration,
        requestsPerSecond: result["2xx"] / result.duration,
        cpuPerEvent: per(used, events, 1e6),
        p99: result.latency.p99,
      },
      refused: Object.fromEntries(Object.entries(refused).filter(([, count]) => count > 0)),
      notes: busy === null ? [] : [`events/s is a lower bound: ${busy}`],
    });
  },
};

interface TextRequest extends Pick<PublishRequest, "url" | "headers"> {
  readonly text: string;
}

/** The array that the hub's HTTP interface has. */
function arrayOf({ url, headers }: PublishRequest, data: string, batch: number): TextRequest {
  const { origin, pathname } = new URL(url);
  const text = JSON.stringify(Array.from({ length: batch }, () => ({ topic: TOPIC, data })));
  return { url: origin + pathname, headers: { ...headers, "content-type": "application/json" }, text };
}

/** Whether the server takes an array as that many events: one that takes it as the text of one event answers 200 too. */
async function takes({ url, headers, text }: TextRequest, batch: number): Promise<boolean> {
  try {
    const response = await fetch(url, { method: "POST", headers, body: text });
    const answer = (await response.json()) as { ids?: unknown[] } | null;
    return response.ok && answer?.ids?.length === batch;
  } catch {
    return false;
  }
}
