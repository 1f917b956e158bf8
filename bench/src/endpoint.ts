import { now } from "./clock.ts";
import { figure } from "./format.ts";
import type { Generator } from "./generator.ts";
import { percentiles } from "./histogram.ts";
import { saturation } from "./load-meter.ts";
import { judged } from "./open-loop.ts";
import type { RunningPeer } from "./peers/peer.ts";
import type { Progress } from "./progress.ts";
import { wrongWith } from "./result.ts";
import type { Outcome } from "./scenario.ts";
import { outcome, Stage } from "./stage.ts";
import { BenchError, resolveTarget } from "./target.ts";

/** A run against any endpoint: streams that only watch, or that are counted against what is published meanwhile. */
export interface EndpointOptions {
  readonly url: string;
  readonly streams: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Where a POST publishes an event to the streams; null to only watch. */
  readonly publish: string | null;
  readonly publishHeaders: Readonly<Record<string, string>>;
  /** The body, in which `{data}` stands for the data. */
  readonly publishBody: string;
  /** Events a second. */
  readonly rate: number;
  readonly payloadBytes: number;
  readonly processes: number | null;
  /** Takes any certificate. */
  readonly insecure: boolean;
  /** How long nothing may come, after the last event, before what is missing counts as lost; milliseconds. */
  readonly finishWithin: number;
}

/** Between two looks at how far it is; milliseconds. */
const LOOK = 200;
const LANES = 32;
const GROUP = "streams";

/** @throws BenchError when nothing can be reached there, or no stream opens */
export async function runEndpoint(options: EndpointOptions, progress: Progress): Promise<Outcome> {
  const { url, publish, streams, headers, processes, payloadBytes, insecure } = options;
  await using stage = await Stage.set(
    asPeer(options),
    streams,
    { processes, payload: payloadBytes },
    insecure,
  );
  using look = watch(stage.generator, options, progress);
  const stopwatch = stage.stopwatch();
  // Without a mark to look for, only decoding tells how many events there were.
  const reading = publish === null ? { mark: "", sampleEvery: 1 } : {};
  await stage.open(GROUP, { streams, headers, channels: LANES, ...reading });
  const { open, failures, lastOpen } = await stage.generator.report(GROUP);
  if (open === 0) throw new BenchError(`no stream opened at ${url}: ${[...failures.keys()].join(", ")}`);
  const opening = stopwatch.seconds(lastOpen);
  await stage.settle();
  look.begin();
  // Awaited here: leaving the function ends the generator.
  if (publish === null) return await observe(stage, options);
  const { figures, ...rest } = await publishAndCount(stage, options, publish);
  return { ...rest, figures: { opening, ...figures } };
}

/** The endpoint as if it were a server of ours. */
function asPeer({ url, publish, publishHeaders, publishBody }: EndpointOptions): RunningPeer {
  const body = (data: string): string => publishBody.replaceAll("{data}", () => data);
  return {
    pids: [],
    eventsUrl: () => url,
    publish: () => ({ url: publish ?? url, headers: publishHeaders, body }),
    jsonUrl: null,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Counts what comes. */
async function observe(stage: Stage, { duration }: EndpointOptions): Promise<Outcome> {
  await stage.measure(Infinity);
  const before = await stage.generator.report(GROUP);
  const stopwatch = stage.stopwatch();
  await Bun.sleep(duration);
  const result = await stage.generator.report(GROUP);
  const seconds = stopwatch.seconds();
  const { voids } = saturation(await stage.generator.load());
  const gaps = percentiles(result.gaps);
  const events = result.decodedEvents - before.decodedEvents;
  return outcome(result, null, {
    deliveries: events,
    figures: {
      eventsPerSecond: events / seconds,
      bytesPerSecond: (result.bytes - before.bytes) / seconds,
      gapP50: gaps.p50,
      gapP99: gaps.p99,
      gapMax: gaps.max,
    },
    voids,
  });
}

/** Publishes in an open loop, and counts every delivery. */
async function publishAndCount(
  stage: Stage,
  { rate, duration, insecure, finishWithin }: EndpointOptions,
  url: string,
): Promise<Outcome> {
  const publisher = stage.publisher(LANES, undefined, await resolveTarget(url, insecure));
  const start = now();
  await stage.measure(start);
  await publisher.atRate(rate, start, duration);
  const trust = judged(saturation(await stage.load()), publisher);
  const result = await stage.finish(GROUP, publisher, finishWithin);
  return outcome(result, publisher, {
    figures: {
      ...percentiles(result.latency),
      lateness: percentiles(publisher.lateness).p99,
      bytes: result.bytes,
    },
    ...trust,
  });
}

/** Shows how far the run is, several times a second. */
function watch(
  generator: Generator,
  options: EndpointOptions,
  progress: Progress,
): Disposable & { begin(): void } {
  let began: number | null = null;
  const timer = setInterval(() => {
    const { open, received, events } = generator.progress;
    const count = (options.publish === null ? events : received).toLocaleString("en");
    const share =
      began === null
        ? (0.1 * open) / options.streams
        : 0.1 + (0.9 * (performance.now() - began)) / options.duration;
    progress.show(`${open.toLocaleString("en")} streams open, ${count} deliveries`, share);
  }, LOOK);
  return {
    begin() {
      began = performance.now();
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      progress.clear();
    },
  };
}

/** The outcome as lines of words and figures. */
export function describe(each: Outcome, { publish, streams, rate }: EndpointOptions): string {
  const { figures } = each;
  const wrong = wrongWith(each);
  const lines: [string, string][] = [
    ["streams open", `${each.streams.toLocaleString("en")} of ${streams.toLocaleString("en")}`],
    ...(publish === null
      ? ([
          [
            "events",
            `${each.deliveries.toLocaleString("en")}, ${figure(figures["eventsPerSecond"], "count")}/s`,
          ],
          ["bytes", `${figure(figures["bytesPerSecond"], "bytes")}/s`],
          [
            "between events",
            `p50 ${figure(figures["gapP50"], "milliseconds")}, p99 ${figure(figures["gapP99"], "milliseconds")}, ` +
              `max ${figure(figures["gapMax"], "milliseconds")}`,
          ],
        ] satisfies [string, string][])
      : ([
          ["time to open all", figure(figures["opening"], "seconds")],
          ["events published", `${each.published.toLocaleString("en")}, due at ${rate}/s`],
          [
            "deliveries",
            `${each.deliveries.toLocaleString("en")}, ${each.tally.lost.toLocaleString("en")} lost`,
          ],
          [
            "latency",
            (["p50", "p90", "p99", "p999", "max"] as const)
              .map((key) => `${key === "p999" ? "p99.9" : key} ${figure(figures[key], "milliseconds")}`)
              .join(", "),
          ],
          ["published late", `p99 ${figure(figures["lateness"], "milliseconds")}`],
          ["bytes", figure(figures["bytes"], "bytes")],
        ] satisfies [string, string][])),
    ...each.notes.map((note): [string, string] => ["note", note]),
    ...each.voids.map((reason): [string, string] => ["VOID", `the figures mean nothing: ${reason}`]),
    ...(wrong === "" ? [] : [["WRONG", wrong] satisfies [string, string]]),
  ];
  const width = Math.max(...lines.map(([name]) => name.length)) + 2;
  return lines.map(([name, text]) => name.padEnd(width) + text).join("\n");
}
