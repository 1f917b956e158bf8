/**
 * Compares the codec with its peers: `bun run bench:codec [--rounds 3] [--json]`. On each fixture the variants take turns, each
 * run in a fresh process, and the order changes with every round. The figure of a variant is its least median of all rounds: the
 * load of other programs only ever adds time.
 *
 * Limitations: one machine, one engine (Bun's), warm code; fixtures are made, not recorded; the ratio says nothing about a program in
 * which the codec is a small part of the work.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { decodeFixtures, encodeFixtures } from "./fixtures.ts";
import type { Codec } from "./measure.ts";
import { decoders, encoders } from "./variants.ts";

interface Comparison {
  codec: Codec;
  ours: string;
  peer: string;
  /** `ratio` is how many times as long the peer takes. */
  fixtures: { name: string; ours: number; peer: number; ratio: number }[];
  geometricMean: number;
  /** Nanoseconds per pass, by fixture and variant, of every round: what the table was made of. */
  rounds: Record<string, Record<string, number[]>>;
}

function measured(codec: Codec, variant: string, fixture: string): number {
  const { stdout, stderr, success } = Bun.spawnSync([
    process.execPath,
    join(import.meta.dir, "measure.ts"),
    codec,
    variant,
    fixture,
  ]);
  if (!success) throw new Error(`Measuring ${variant} failed:\n${stderr.toString()}`);
  return JSON.parse(stdout.toString()) as number;
}

function compare(codec: Codec, names: string[], variants: string[], roundCount: number): Comparison {
  const [ours, peer] = variants as [string, string];
  const rounds: Comparison["rounds"] = {};
  const fixtures = names.map((name) => {
    const figures: Record<string, number[]> = { [ours]: [], [peer]: [] };
    for (let round = 0; round < roundCount; round++) {
      for (const variant of round % 2 === 0 ? [ours, peer] : [peer, ours]) {
        figures[variant]!.push(measured(codec, variant, name));
      }
    }
    rounds[name] = figures;
    const [our, their] = [Math.min(...figures[ours]!), Math.min(...figures[peer]!)];
    return { name, ours: our, peer: their, ratio: their / our };
  });
  const logarithms = fixtures.reduce((sum, { ratio }) => sum + Math.log(ratio), 0);
  return { codec, ours, peer, fixtures, geometricMean: Math.exp(logarithms / fixtures.length), rounds };
}

function row(...cells: string[]): string {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(20) : cell.padStart(22))).join("");
}

function microseconds(nanoseconds: number): string {
  return `${(nanoseconds / 1000).toFixed(1)} us`;
}

function table({ codec, ours, peer, fixtures, geometricMean }: Comparison): string {
  return [
    row(codec, ours, peer, "ratio"),
    ...fixtures.map((fixture) =>
      row(fixture.name, microseconds(fixture.ours), microseconds(fixture.peer), fixture.ratio.toFixed(2)),
    ),
    row("geometric mean", "", "", geometricMean.toFixed(2)),
  ].join("\n");
}

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, json: { type: "boolean", default: false } },
});
const roundCount = Number(values.rounds);
if (!Number.isSafeInteger(roundCount) || roundCount < 1) {
  throw new Error(`--rounds must be a positive integer, got "${values.rounds}"`);
}

const nameOf = ({ name }: { name: string }): string => name;
const comparisons = [
  compare("decode", decodeFixtures().map(nameOf), Object.keys(decoders), roundCount),
  compare("encode", encodeFixtures().map(nameOf), Object.keys(encoders), roundCount),
];
console.log(
  values.json
    ? JSON.stringify({ bun: Bun.version, comparisons }, undefined, 2)
    : comparisons.map(table).join("\n\n"),
);
