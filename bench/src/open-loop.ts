import { now } from "./clock.ts";
import { percentiles } from "./histogram.ts";
import { type Saturation, saturation } from "./load-meter.ts";
import type { Publisher } from "./publisher.ts";
import type { Outcome } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** Milliseconds of traffic that is not measured, at most. */
const WARM_UP = 1000;
/** Between the order to measure and the first event; milliseconds. */
const LEAD = 20;
/** A schedule that slips by this many milliseconds at p99 is none. */
const SLIPPED = 5;

/** Publishes at a rate, warms up first, and answers whether the latencies that were recorded mean anything. */
export async function openLoop(
  stage: Stage,
  publisher: Publisher,
  rate: number,
  duration: number,
): Promise<Pick<Outcome, "voids" | "notes">> {
  const warmUp = Math.min(WARM_UP, duration);
  const start = now() + LEAD * 1000;
  await stage.measure(start + warmUp * 1000);
  publisher.lateness.reset();
  await publisher.atRate(rate, start, warmUp + duration);
  return judged(saturation(await stage.load()), publisher);
}

/** Adds to what the generator's load says whether the schedule was kept. */
export function judged({ voids, notes }: Saturation, publisher: Publisher): Pick<Outcome, "voids" | "notes"> {
  const late = percentiles(publisher.lateness).p99 ?? 0;
  return {
    notes,
    voids: late < SLIPPED ? voids : [...voids, `events went out ${late.toFixed(1)} ms late at p99`],
  };
}
