import { isMultiplexed } from "./stream-lease.ts";

/** Where the bundled `storm.worker.ts` is served; set by `build.ts`. */
declare const STORM_WORKER_URL: string;

/** What the worker is to do. */
export interface StormOrder {
  readonly count: number;
  /** Streams that may be open, or wait to be, at the same time. */
  readonly atOnce: number;
  readonly url: string;
}

/** How far it is. */
export interface StormReport {
  readonly opened: number;
  readonly failed: number;
  readonly open: number;
  /** The most that were open at the same time. */
  readonly peak: number;
  readonly seconds: number;
  readonly done: boolean;
}

const STREAMS = 500;
/** What the page leaves of the six connections of HTTP/1.1, less one for its requests. */
const AT_ONCE = 2;

/** Opens five hundred streams of a quiet topic, as many at once as the browser lets. */
export function startStorm(onReport: (report: StormReport) => void): { stop(): void } {
  const worker = new Worker(STORM_WORKER_URL, { type: "module", name: "storm" });
  worker.addEventListener("message", (event: MessageEvent<StormReport>) => {
    onReport(event.data);
    if (event.data.done) worker.terminate();
  });
  const order: StormOrder = {
    count: STREAMS,
    atOnce: isMultiplexed() ? STREAMS : AT_ONCE,
    url: "/events?topic=demo/storm",
  };
  // A worker has no origin to name.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  worker.postMessage(order);
  return { stop: () => worker.terminate() };
}

/** What happened, and what the browser has to do with it. */
export function stormWords({ opened, failed, peak, seconds }: StormReport): string {
  const rate = Math.round(opened / Math.max(seconds, 0.001));
  const lost = failed > 0 ? `, ${failed} failed` : "";
  const bound = isMultiplexed()
    ? "Over HTTP/2 they share one connection; the server says how many streams that may have."
    : `This page came over HTTP/1.1, of which a browser allows six connections to a host: ${AT_ONCE} took turns. Over https there are more at once.`;
  return `${opened} of ${STREAMS} streams opened in ${seconds.toFixed(1)} s (${rate.toLocaleString("en")}/s)${lost}, at most ${peak} at once. ${bound}`;
}
