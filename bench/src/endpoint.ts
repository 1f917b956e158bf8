import { now } from "./clock.ts";
import { figure } from "./format.ts";
import { Generator, type GroupResult } from "./generator.ts";
import { percentiles } from "./histogram.ts";
import { LoadMeter, saturation } from "./load-meter.ts";
import { judged } from "./open-loop.ts";
import { createMark } from "./payload.ts";
import type { Progress } from "./progress.ts";
import { Publisher } from "./publisher.ts";
import { wrongWith } from "./result.ts";
import type { Outcome } from "./scenario.ts";
import { IN_FLIGHT, OPEN_WITHIN, outcome } from "./stage.ts";
import { BenchError, pathOf, resolveTarget } from "./target.ts";

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

const SETTLE = 250;
/** Between two looks at how far it is; milliseconds. */
const LOOK = 200;
const LANES = 32;
const GROUP = "streams";

/** @throws BenchError when nothing can be reached there, or no stream opens */
export async function runEndpoint(options: EndpointOptions, progress: Progress): Promise<Outcome> {
  const { publish, streams } = options;
  const mark = publish === null ? "" : createMark();
  await using generator = await Generator.start(streams, options.processes ?? undefined);
  using look = watch(generator, options, progress);
  const started = now();
  const { lastOpen } = await openStreams(generator, options, mark);
  await Bun.sleep(SETTLE);
  look.begin();
  // Awaited here: leaving the function ends the generator.
  if (publish === null) return await observe(generator, options);
  const { figures, ...rest } = await publishAndCount(generator, options, publish, mark);
  return { ...rest, figures: { opening: (lastOpen - started) / 1e6, ...figures } };
}

async function openStreams(
  generator: Generator,
  { url, streams, headers, insecure, publish }: EndpointOptions,
  mark: string,
): Promise<GroupResult> {
  await generator.open(GROUP, {
    target: await resolveTarget(url, insecure),
    streams,
    paths: [pathOf(url)],
    headers,
    inFlight: IN_FLIGHT,
    openWithin: OPEN_WITHIN,
    mark,
    // Without a mark to look for, only decoding tells how many events there were.
    sampleEvery: publish === null ? 1 : 100,
    firstChannel: 0,
    channels: LANES,
    ownChannels: false,
    stalls: false,
  });
  const result = await generator.report(GROUP);
  if (result.open > 0) return result;
  throw new BenchError(`no stream opened at ${url}: ${[...result.failures.keys()].join(", ")}`);
}

/** Counts what comes. */
async function observe(generator: Generator, { duration }: EndpointOptions): Promise<Outcome> {
  await generator.measure(Infinity);
  const before = await generator.report(GROUP);
  const start = now();
  await Bun.sleep(duration);
  const result = await generator.report(GROUP);
  const seconds = (now() - start) / 1e6;
  const { voids } = saturation(await generator.load());
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
  generator: Generator,
  options: EndpointOptions,
  url: string,
  mark: string,
): Promise<Outcome> {
  const { publishHeaders, publishBody, payloadBytes, rate, duration, insecure } = options;
  using meter = new LoadMeter();
  using publisher = new Publisher({
    target: await resolveTarget(url, insecure),
    requests: [{ url, headers: publishHeaders, body: template(publishBody) }],
    mark,
    payloadBytes,
    inFlight: LANES,
  });
  const start = now();
  await generator.measure(start);
  await publisher.atRate(rate, start, duration);
  const trust = judged(saturation([...(await generator.load()), meter.report()]), publisher);
  await generator.finish(GROUP, publisher.published, options.finishWithin);
  const result = await generator.report(GROUP);
  return outcome(result, publisher, {
    figures: {
      ...percentiles(result.latency),
      lateness: percentiles(publisher.lateness).p99,
      bytes: result.bytes,
    },
    ...trust,
  });
}

function template(body: string): (data: string) => string {
  return (data) => body.replaceAll("{data}", () => data);
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
