import { parseArgs } from "node:util";
import { Campaign, drawCase, type Protocol, PROTOCOLS } from "./campaign.ts";
import type { Violation } from "./oracle.ts";
import kept from "./seeds.json" with { type: "json" };

const HELP = `bun run fuzz [options]

  --protocol 1.1|2   default: one after the other
  --seconds S        of each protocol; default 15
  --seed N           this connection alone; with --seconds, from this one on. Default: a random number, which is printed

Without --seed, every seed that ever failed runs first.`;

const { values } = parseArgs({
  options: {
    protocol: { type: "string" },
    seconds: { type: "string" },
    seed: { type: "string" },
    help: { type: "boolean" },
  },
});

function number(name: "seconds" | "seed"): number | null {
  const text = values[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`--${name} must be a whole number, not ${text}`);
}

function protocols(): readonly Protocol[] {
  const { protocol } = values;
  if (protocol === undefined) return PROTOCOLS;
  const found = PROTOCOLS.find((each) => each === protocol);
  if (found === undefined)
    throw new RangeError(`--protocol must be one of ${PROTOCOLS.join(", ")}, not ${protocol}`);
  return [found];
}

/** A case under which a fault showed that is mended now. */
interface Kept {
  readonly protocol: string;
  readonly seed: number;
  readonly fault: string;
}

function* from(seed: number, known: readonly number[]): Generator<number> {
  yield* known;
  for (let at = seed; ; at++) yield at;
}

/** Rounds of so many seconds, each with a quiet time at its end: the first is short, so that there is something to compare with. */
const ROUND = 20;
const FIRST_ROUND = 4;

async function fuzz(protocol: Protocol): Promise<boolean> {
  const given = number("seed");
  const seconds = number("seconds") ?? (given === null ? 15 : 0);
  const first = given ?? Math.floor(Math.random() * 2 ** 31);
  const known =
    given === null
      ? (kept as Kept[]).filter((each) => each.protocol === protocol).map(({ seed }) => seed)
      : [];
  console.log(`HTTP/${protocol}: ${known.length} known seeds, then seeds from ${first} on, for ${seconds} s`);
  const seeds = seconds === 0 ? [first][Symbol.iterator]() : from(first, known);
  await using campaign = await Campaign.start(protocol);
  const end = performance.now() + seconds * 1000;
  let found: readonly Violation[] = [];
  do {
    const roundEnd = Math.min(
      end,
      performance.now() + (campaign.memory.length === 0 ? FIRST_ROUND : ROUND) * 1000,
    );
    found = await campaign.round(seeds, () => seconds > 0 && performance.now() > roundEnd);
  } while (found.length === 0 && performance.now() < end);
  const { cases, oracle, memory } = campaign;
  for (const { check, message, subject } of found) {
    console.log(`\n${check}: ${message}`);
    const suspects =
      subject === null ? await suspectsOf(protocol, check, campaign.recent) : [Number.parseInt(subject, 36)];
    for (const seed of suspects) {
      if (suspects.length < 3)
        for (const { asked, trust, what } of drawCase(protocol, seed, 0).exchanges)
          console.log(`  ${trust} ${what}: ${asked.map((each) => each.what).join("; ")}`);
      console.log(`  bun run fuzz --protocol ${protocol} --seed ${seed}`);
    }
  }
  const statuses = [...oracle.statuses]
    .toSorted(([a], [b]) => a - b)
    .map(([status, count]) => `${status}: ${count}`);
  console.log(
    `${cases} connections, ${oracle.accepted} publications taken, ${oracle.refused} refused; answers ${statuses.join(", ")}`,
  );
  console.log(
    `memory after each quiet time, in MiB, and requests and streams in it: ${memory.map(({ heap, resident, live }) => `${mib(heap)} of ${mib(resident)} (${live} objects)`).join(", ")}`,
  );
  return found.length === 0;
}

/** Which of the cases that were under way crash a server when they are played alone; all of them where none does. */
async function suspectsOf(
  protocol: Protocol,
  check: string,
  recent: readonly number[],
): Promise<readonly number[]> {
  const found: number[] = [];
  for (const seed of check === "crash" ? recent : []) {
    await using alone = await Campaign.start(protocol);
    const violations = await alone.round([seed].values(), () => false);
    if (violations.some((each) => each.check === check)) found.push(seed);
  }
  return found.length > 0 ? found : recent;
}

function mib(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}

if (values.help === true) {
  console.log(HELP);
} else {
  let isFine = true;
  for (const protocol of protocols()) isFine = (await fuzz(protocol)) && isFine;
  process.exit(isFine ? 0 : 1);
}
