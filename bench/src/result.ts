import type { Environment } from "./environment.ts";
import { figure, table } from "./format.ts";
import { faultsOf } from "./ledger.ts";
import type { Outcome, Scenario, Settings } from "./scenario.ts";

/** One run of a case: a fresh process of the peer. */
export interface Run {
  readonly peer: string;
  /** From 1. */
  readonly round: number;
  readonly outcome: Outcome;
}

/** All that a scenario's command measured, as `--json` prints it and the report keeps it. */
export interface Result {
  readonly scenario: string;
  readonly environment: Environment;
  readonly settings: Settings;
  readonly rounds: number;
  /** The peer that ratios are against. */
  readonly baseline: string;
  readonly leftOut: readonly { readonly peer: string; readonly reason: string }[];
  /** Runs in the order they were made in. */
  readonly cases: readonly { readonly label: string; readonly runs: readonly Run[] }[];
}

function reasons(counts: Readonly<Record<string, number>>, what: string): string[] {
  return Object.entries(counts).map(([reason, count]) => `${count} ${what}: ${reason}`);
}

/** What is wrong with a run in words, or "" when every stream was opened, held, and given every event once and in order. */
export function wrongWith(outcome: Outcome): string {
  const faults = faultsOf(outcome.tally);
  return [
    ...(faults === "" ? [] : [`events ${faults}`]),
    ...reasons(outcome.failures, "streams not opened"),
    ...(outcome.dropped === 0 ? [] : [`${outcome.dropped} streams ended by the server`]),
    ...reasons(outcome.refused, "events not accepted"),
  ].join("; ");
}

/** The runs in which something was wrong, a line for each. */
export function faultyRuns({ scenario, cases }: Result): string[] {
  return cases.flatMap(({ label, runs }) =>
    runs.flatMap(({ peer, round, outcome }) => {
      const wrong = wrongWith(outcome);
      return wrong === "" ? [] : [`${scenario}, ${label}, ${peer}, round ${round}: ${wrong}`];
    }),
  );
}

/** The middle one of the rounds, so that one that something disturbed does not count. */
export function median(values: readonly (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null).toSorted((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function runsOf(runs: readonly Run[]): Map<string, Run[]> {
  return Map.groupBy(runs, ({ peer }) => peer);
}

/** A figure of one peer over the rounds. */
export function medianOf(runs: readonly Run[], key: string): number | null {
  return median(runs.map(({ outcome }) => outcome.figures[key] ?? null));
}

/** A figure in relation to the baseline's; null when either is none. */
export function ratio(value: number | null, baseline: number | null): number | null {
  return value === null || baseline === null || baseline === 0 ? null : value / baseline;
}

/** The tables of a result, and under each what has to be said of it. */
export function tables(scenario: Scenario, { cases, baseline, leftOut, rounds }: Result): string {
  const notes = [
    ...(rounds > 1 ? [`Each figure is the median of ${rounds} rounds.`] : []),
    ...leftOut.map(({ peer, reason }) => `Left out: ${peer}, ${reason}.`),
  ];
  return [
    ...cases.map(({ label, runs }) =>
      [caseTable(scenario, baseline, label, runs), ...said(runs)].join("\n\n"),
    ),
    ...(notes.length === 0 ? [] : [notes.join("\n")]),
  ].join("\n\n");
}

function caseTable(
  { columns, primary }: Scenario,
  baseline: string,
  label: string,
  runs: readonly Run[],
): string {
  const peers = runsOf(runs);
  const base = medianOf(peers.get(baseline) ?? [], primary);
  const compared = peers.size > 1;
  const title = columns.find(({ key }) => key === primary)!.title;
  const rows: string[][] = [];
  for (const [peer, own] of peers) {
    const times = ratio(medianOf(own, primary), base);
    const sum = (count: (outcome: Outcome) => number): string =>
      own.reduce((total, { outcome }) => total + count(outcome), 0).toLocaleString("en");
    rows.push([
      peer,
      ...columns.map(({ key, unit }) => figure(medianOf(own, key), unit)),
      ...(compared ? [times === null ? "-" : times.toFixed(2)] : []),
      sum(({ deliveries }) => deliveries),
      sum(({ tally }) => tally.lost),
    ]);
  }
  const head = [
    label,
    ...columns.map((column) => column.title),
    ...(compared ? [`${title} / ${baseline}'s`] : []),
    "deliveries",
    "lost",
  ];
  return table(head, rows);
}

/** What has to be said of some runs, as a list; nothing when there is nothing. */
function said(runs: readonly Run[]): string[] {
  const lines = new Set<string>();
  for (const { peer, outcome } of runs) {
    for (const note of outcome.notes) lines.add(`- ${peer}: ${note}`);
    for (const reason of outcome.voids) lines.add(`- ${peer}: VOID, ${reason}`);
    const wrong = wrongWith(outcome);
    if (wrong !== "") lines.add(`- ${peer}: WRONG, ${wrong}`);
  }
  return lines.size === 0 ? [] : [[...lines].join("\n")];
}
