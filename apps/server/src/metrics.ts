import type { Hub } from "@sse/hub";
import { Counter, Gauge, Registry } from "prom-client";

/** The hub's state and counters as Prometheus text. */
export function createMetrics(hub: Hub): () => Promise<{ body: string; type: string }> {
  const registry = new Registry();
  const registers = [registry];
  type Stats = ReturnType<Hub["stats"]>;
  const gauges: [string, string, (stats: Stats) => number][] = [
    ["sse_streams", "Open streams", ({ streams }) => streams],
    ["sse_streams_catching_up", "Streams that read the log", ({ catchingUp }) => catchingUp],
    ["sse_streams_blocked", "Streams whose reader is behind", ({ blocked }) => blocked],
    ["sse_cohorts", "Sets of streams with the same selectors", ({ cohorts }) => cohorts],
    ["sse_log_events", "Events in the log", ({ log }) => log.events],
    ["sse_log_bytes", "Bytes in the log", ({ log }) => log.bytes],
    ["process_resident_memory_bytes", "Resident memory", () => process.memoryUsage.rss()],
  ];
  const counters: [string, string, (stats: Stats) => number][] = [
    ["sse_events_published_total", "Events taken from publishers", ({ published }) => published],
    ["sse_events_delivered_total", "Events written to streams", ({ deliveries }) => deliveries],
    ["sse_bytes_delivered_total", "Bytes written to streams", ({ bytes }) => bytes],
    ["sse_heartbeats_total", "Comments written to quiet streams", ({ heartbeats }) => heartbeats],
  ];
  const read = [
    ...gauges.map(([name, help, value]) => {
      const gauge = new Gauge({ name, help, registers });
      return (stats: Stats) => gauge.set(value(stats));
    }),
    ...counters.map(([name, help, value]) => {
      const counter = new Counter({ name, help, registers });
      return (stats: Stats) => {
        counter.reset();
        counter.inc(value(stats));
      };
    }),
    ...(
      [
        ["sse_streams_closed_total", "Closed streams by reason", "closes"],
        ["sse_gaps_total", "Gaps told to streams by reason", "gaps"],
      ] as const
    ).map(([name, help, key]) => {
      const counter = new Counter({ name, help, registers, labelNames: ["reason"] });
      return (stats: Stats) => {
        counter.reset();
        for (const [reason, value] of Object.entries(stats[key])) counter.inc({ reason }, value);
      };
    }),
  ];
  return async () => {
    const stats = hub.stats();
    for (const take of read) take(stats);
    return { body: await registry.metrics(), type: registry.contentType };
  };
}
