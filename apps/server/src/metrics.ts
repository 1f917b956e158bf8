import { problems } from "@sse/elysia";
import { type RefusalReason, type RequestBodies } from "@sse/http";
import type { Hub, HubObserver, HubStats } from "@sse/hub";
import type { DocumentDecoration } from "elysia";
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

/** `GET /metrics` */
export const METRICS: DocumentDecoration = {
  operationId: "metrics",
  summary: "The hub's state and counters, for Prometheus",
  description: "With authentication, for tokens with `admin`.",
  responses: {
    200: { description: "As they are now.", content: { "text/plain": { schema: { type: "string" } } } },
    ...problems(401, 403),
  },
};

/** Seconds, from a tenth of a millisecond on. */
const BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** Left out of the metrics of a process: for these Bun looks at all of its heap, which holds the loop for 1.5 s where it has 400 MB. */
const WALK_THE_HEAP = ["total", "used", "available"].map((size) => `nodejs_heap_space_size_${size}_bytes`);

/** The hub's state and counters, and how long things take in it, as Prometheus text. */
export class Metrics {
  readonly #registry = new Registry();
  /** What a hub is to be given, so that it tells how long things take. */
  readonly observer: HubObserver;
  /** What an admission is to be given, so that it tells whom it has refused. */
  readonly refused: (reason: RefusalReason) => void;
  /** Told of each fetch of the key set, and whether it is here. */
  readonly keysFetched: (isHere: boolean) => void;
  /** What it is to be given to tell how long publishers waited. */
  readonly published: (duration: number) => void;

  constructor() {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    for (const name of WALK_THE_HEAP) this.#registry.removeSingleMetric(name);
    const seconds = (name: string, help: string): ((duration: number) => void) => {
      const histogram = new Histogram({ name, help, registers, buckets: BUCKETS });
      return (duration) => histogram.observe(duration / 1000);
    };
    const refused = new Counter({
      name: "sse_refused_total",
      help: "Requests that were refused, by reason",
      registers,
      labelNames: ["reason"],
    });
    const fetches = new Counter({
      name: "sse_key_set_fetches_total",
      help: "Fetches of --jwt-jwks, by result: ok or failed",
      registers,
      labelNames: ["result"],
    });
    const fetched = new Gauge({
      name: "sse_key_set_timestamp_seconds",
      help: "When the key set that is used was fetched, in Unix time; 0: never",
      registers,
    });
    this.keysFetched = (isHere) => {
      fetches.inc({ result: isHere ? "ok" : "failed" });
      if (isHere) fetched.setToCurrentTime();
    };
    this.refused = (reason) => refused.inc({ reason });
    this.published = seconds(
      "sse_publish_seconds",
      "From a request to publish, its body not yet read, until its answer; without those refused",
    );
    this.observer = {
      committed: seconds(
        "sse_commit_seconds",
        "From the first publish of a turn until the log has acknowledged it",
      ),
      fannedOut: seconds(
        "sse_fan_out_seconds",
        "From the commit of an event until the last live stream of a cohort was written to",
      ),
    };
  }

  /**
   * Shows this hub, and these bodies.
   *
   * @param overload which resources are short: 1, else 0
   */
  watch(hub: Hub, bodies: RequestBodies, overload: () => Readonly<Record<string, number>>): void {
    const gauges: [string, string, (stats: HubStats) => number][] = [
      ["sse_streams", "Open streams", ({ streams }) => streams],
      ["sse_streams_catching_up", "Streams that read the log", ({ catchingUp }) => catchingUp],
      ["sse_streams_blocked", "Streams whose reader is behind", ({ blocked }) => blocked],
      ["sse_streams_lag_max", "Events that the slowest stream is behind", () => hub.slowest(1)[0]?.lag ?? 0],
      ["sse_stream_addresses", "Addresses that have streams", ({ addresses }) => addresses],
      ["sse_stream_principals", "Subjects of tokens that have streams", ({ principals }) => principals],
      ["sse_cohorts", "Sets of streams with the same selectors and encoding", ({ cohorts }) => cohorts],
      [
        "sse_bodies_bytes",
        "Bytes of requests with a body that are not answered yet",
        () => bodies.bytesInFlight,
      ],
      ["sse_log_events", "Events in the log", ({ log }) => log.events],
      ["sse_log_bytes", "Bytes in the log", ({ log }) => log.bytes],
      ["sse_log_up", "1 while the log can keep events, else 0", ({ log }) => (log.fault === null ? 1 : 0)],
    ];
    const counters: [string, string, (stats: HubStats) => number][] = [
      ["sse_events_published_total", "Events taken from publishers", ({ published }) => published],
      [
        "sse_bytes_taken_total",
        "Bytes of events that came into the log, as they are sent",
        ({ bytesTaken }) => bytesTaken,
      ],
      ["sse_events_delivered_total", "Events written to streams", ({ deliveries }) => deliveries],
      ["sse_bytes_delivered_total", "Bytes written to streams", ({ bytes }) => bytes],
      ["sse_heartbeats_total", "Comments written to quiet streams", ({ heartbeats }) => heartbeats],
    ];
    // All are read from one look at the hub, which the first of them takes.
    let stats = hub.stats();
    if (stats.log.connection !== undefined) {
      gauges.push(
        [
          "sse_log_connected",
          "1 while the broker answers, else 0",
          ({ log }) => (log.connection!.up ? 1 : 0),
        ],
        [
          "sse_log_behind_seconds",
          "For how long the broker has had events that are not here yet",
          ({ log }) => log.connection!.behind / 1000,
        ],
      );
      counters.push([
        "sse_log_reconnects_total",
        "Returns of a broker that was out of reach",
        ({ log }) => log.connection!.reconnects,
      ]);
    }
    const labelled = [
      ["sse_streams_opened_total", "Opened streams by how they began", "resume", "resumes"],
      ["sse_streams_closed_total", "Closed streams by reason", "reason", "closes"],
      ["sse_gaps_total", "Gaps told to streams by reason", "reason", "gaps"],
    ] as const;
    for (const [at, [name, help, value]] of gauges.entries()) {
      this.#registry.registerMetric(
        new Gauge({
          name,
          help,
          registers: [],
          collect() {
            if (at === 0) stats = hub.stats();
            this.set(value(stats));
          },
        }),
      );
    }
    this.#registry.registerMetric(
      new Gauge({
        name: "sse_overloaded",
        help: "1 while new streams are sent away because this is short, else 0",
        registers: [],
        labelNames: ["reason"],
        collect() {
          for (const [reason, value] of Object.entries(overload())) this.set({ reason }, value);
        },
      }),
    );
    for (const [name, help, value] of counters) {
      this.#registry.registerMetric(
        new Counter({
          name,
          help,
          registers: [],
          collect() {
            this.reset();
            this.inc(value(stats));
          },
        }),
      );
    }
    for (const [name, help, label, key] of labelled) {
      this.#registry.registerMetric(
        new Counter({
          name,
          help,
          registers: [],
          labelNames: [label],
          collect() {
            this.reset();
            for (const [text, count] of Object.entries(stats[key])) this.inc({ [label]: text }, count);
          },
        }),
      );
    }
  }

  async text(): Promise<{ body: string; type: string }> {
    return { body: await this.#registry.metrics(), type: this.#registry.contentType };
  }
}
