/**
 * Compares the codec with its peers. On each fixture the variants take turns, each run in a fresh process, and the order changes with
 * every round. The figure of a variant is its least median of all rounds: the load of other programs only ever adds time.
 *
 * Limitations: one machine, one engine (Bun's), warm code; fixtures are made, not recorded; the ratio says nothing about a program in
 * which the codec is a small part of the work.
 */
import { join } from "node:path";
import { type Environment, environment } from "../environment.ts";
import { figure, table } from "../format.ts";
import type { Progress } from "../progress.ts";
import { decodeFixtures, encodeFixtures } from "./fixtures.ts";
import type { Codec } from "./measure.ts";
import { decoders, encoders } from "./variants.ts";

/** All that was measured, as `--json` prints it and the report keeps it; times are nanoseconds for a pass. */
export interface CodecResult {
  readonly environment: Environment;
  readonly comparisons: readonly Comparison[];
}

interface Comparison {
  readonly codec: Codec;
  readonly ours: string;
  readonly peer: string;
  /** `ratio` is how many times as long the peer takes. */
  readonly fixtures: readonly { name: string; ours: number; peer: number; ratio: number }[];
  readonly geometricMean: number;
  /** By fixture and variant, of every round: what the rest is made of. */
  readonly rounds: Readonly<Record<string, Record<string, number[]>>>;
}

/** Rounds, unless told otherwise: they are short. */
const ROUNDS = 5;

/** @param rounds null for the default */
export async function compareCodec(rounds: number | null, progress: Progress): Promise<CodecResult> {
  const comparisons: Comparison[] = [];
  for (const [codec, fixtures, variants] of [
    ["decode", decodeFixtures(), decoders],
    ["encode", encodeFixtures(), encoders],
  ] as const) {
    const names = fixtures.map(({ name }) => name);
    comparisons.push(await compare(codec, names, Object.keys(variants), rounds ?? ROUNDS, progress));
  }
  progress.clear();
  return { environment: await environment(), comparisons };
}

async function compare(
  codec: Codec,
  names: readonly string[],
  variants: readonly string[],
  roundCount: number,
  progress: Progress,
): Promise<Comparison> {
  const [ours, peer] = variants as [string, string];
  const rounds: Record<string, Record<string, number[]>> = {};
  const fixtures = [];
  progress.expect(names.length);
  for (const name of names) {
    progress.show(`codec: ${codec} ${name}`);
    const figures: Record<string, number[]> = { [ours]: [], [peer]: [] };
    for (let round = 0; round < roundCount; round++) {
      for (const variant of round % 2 === 0 ? [ours, peer] : [peer, ours]) {
        figures[variant]!.push(await measured(codec, variant, name));
      }
    }
    rounds[name] = figures;
    const [our, their] = [Math.min(...figures[ours]!), Math.min(...figures[peer]!)];
    fixtures.push({ name, ours: our, peer: their, ratio: their / our });
    progress.step();
  }
  const logarithms = fixtures.reduce((sum, { ratio }) => sum + Math.log(ratio), 0);
  return { codec, ours, peer, fixtures, geometricMean: Math.exp(logarithms / fixtures.length), rounds };
}

async function measured(codec: Codec, variant: string, fixture: string): Promise<number> {
  const script = join(import.meta.dir, "measure.ts");
  const child = Bun.spawn([process.execPath, script, codec, variant, fixture], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const text = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`measuring ${variant} failed`);
  return JSON.parse(text) as number;
}

/** A table for the decoders, and one for the encoders. */
export function codecTables({ comparisons }: CodecResult): string {
  return comparisons
    .map(({ codec, ours, peer, fixtures, geometricMean }) =>
      table(
        [codec, ours, peer, "ratio"],
        [
          ...fixtures.map((fixture) => [
            fixture.name,
            figure(fixture.ours / 1000, "microseconds"),
            figure(fixture.peer / 1000, "microseconds"),
            fixture.ratio.toFixed(2),
          ]),
          ["geometric mean", "", "", geometricMean.toFixed(2)],
        ],
      ),
    )
    .join("\n\n");
}
