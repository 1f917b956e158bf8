import { parseArgs } from "node:util";
import { explain, freshRuns, type Result, type Run, runAll } from "./campaign.ts";
import { LOG_KINDS, type LogKind } from "./config.ts";
import { runMutants } from "./mutants/run-mutants.ts";
import kept from "./seeds.json" with { type: "json" };

const HELP = `bun run simulate [options]

  --log memory|sqlite|broker   this log; default: each in turn
  --seed N                     this seed
  --seeds N                    so many seeds, from --from on
  --from N                     default: a random number, which is printed
  --minutes M                  fresh seeds for so long; default 1
  --mutants                    how many seeds each known fault takes; writes docs/testing.md
  --json                       one line of JSON, and no history

Without --seed or --seeds, every seed that ever failed runs first.`;

const { values } = parseArgs({
  options: {
    log: { type: "string" },
    seed: { type: "string" },
    seeds: { type: "string" },
    from: { type: "string" },
    minutes: { type: "string" },
    mutants: { type: "boolean" },
    json: { type: "boolean" },
    help: { type: "boolean" },
  },
});

function number(name: "seed" | "seeds" | "from" | "minutes"): number | null {
  const text = values[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new RangeError(`--${name} must be a number, not ${text}`);
}

function logKind(): LogKind | null {
  const { log } = values;
  if (log === undefined) return null;
  if ((LOG_KINDS as readonly string[]).includes(log)) return log as LogKind;
  throw new RangeError(`--log must be one of ${LOG_KINDS.join(", ")}, not ${log}`);
}

function* concat(...parts: Iterable<Run>[]): Generator<Run> {
  for (const part of parts) yield* part;
}

/** What is to run, and for how long. */
function plan(): { runs: Iterable<Run>; minutes: number; what: string } {
  const log = logKind();
  const seed = number("seed");
  if (seed !== null) {
    const runs = (log === null ? LOG_KINDS : [log]).map((each) => ({ log: each, seed }));
    return { runs, minutes: Infinity, what: `seed ${seed}` };
  }
  const from = number("from") ?? Math.floor(Math.random() * 2 ** 31);
  const seeds = number("seeds");
  if (seeds !== null) {
    const runs = freshRuns(log, from, seeds);
    return { runs, minutes: number("minutes") ?? Infinity, what: `${seeds} seeds from ${from} on` };
  }
  const again = (kept as Run[]).filter((each) => log === null || each.log === log);
  const runs = concat(again, freshRuns(log, from, Infinity));
  return {
    runs,
    minutes: number("minutes") ?? 1,
    what: `${again.length} known seeds, then seeds from ${from} on`,
  };
}

function summary({ runs, counts: { steps, publishes, connects, resumes } }: Result): string {
  const counts = { seeds: runs, steps, publishes, connects, resumes };
  return Object.entries(counts)
    .map(([name, count]) => `${count.toLocaleString("en")} ${name}`)
    .join(", ");
}

async function simulate(): Promise<number> {
  const { runs, minutes, what } = plan();
  const isBrief = values.json === true;
  if (!isBrief) console.log(what);
  const end = performance.now() + minutes * 60_000;
  let told = performance.now();
  const result = await runAll(
    runs,
    () => performance.now() >= end,
    (soFar) => {
      if (isBrief || performance.now() - told < (process.stdout.isTTY ? 500 : 15_000)) return;
      told = performance.now();
      process.stdout.write(process.stdout.isTTY ? `\r\u001b[K${summary(soFar)}` : `${summary(soFar)}\n`);
    },
  );
  if (process.stdout.isTTY && !isBrief) process.stdout.write("\r\u001b[K");
  if (isBrief) {
    const { failed } = result;
    const found =
      failed === null ? null : { log: failed.log, seed: failed.seed, ...failed.outcome.violation };
    console.log(JSON.stringify({ ...result.counts, runs: result.runs, failed: found }));
  } else {
    if (result.failed !== null) console.log(explain(result.failed));
    console.log(`${summary(result)}: ${result.failed === null ? "nothing is wrong" : "wrong"}`);
  }
  return result.failed === null ? 0 : 1;
}

if (values.help === true) console.log(HELP);
else process.exit(values.mutants === true ? await runMutants(logKind()) : await simulate());
