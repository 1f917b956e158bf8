import { expect, test } from "bun:test";
import { emptyTally } from "../ledger.ts";
import type { Result } from "../result.ts";
import type { Outcome, Settings } from "../scenario.ts";
import { fanout } from "../scenarios/fanout.ts";
import { chart, THEMES } from "./chart.ts";
import { page } from "./page.ts";

/* The page and the charts are made from kept measurements alone. */

const SETTINGS: Settings = {
  streams: null,
  duration: null,
  events: null,
  rate: null,
  payload: null,
  processes: null,
};

const ENVIRONMENT = {
  date: "2026-01-02T03:04:05.000Z",
  cpu: "Some CPU <fast>",
  cores: 2,
  memoryBytes: 8 * 1024 ** 3,
  system: "Linux 6.1",
  bun: "1.4.5",
  openFiles: 20_000,
  commit: "abc1234",
};

function outcome(cpuPerDelivery: number | null, lost = 0): Outcome {
  return {
    streams: 1000,
    published: 10,
    deliveries: 10_000 - lost,
    tally: { ...emptyTally(), received: 10_000 - lost, lost },
    refused: {},
    failures: {},
    dropped: 0,
    figures: { cpuPerDelivery, deliveriesPerSecond: 1_234_567 },
    notes: [],
    voids: [],
  };
}

function fixture(): Result {
  const runs = [
    { peer: "hub", round: 1, outcome: outcome(0.2) },
    { peer: "go", round: 1, outcome: outcome(0.8) },
    { peer: "go", round: 2, outcome: outcome(1, 3) },
    { peer: "hub", round: 2, outcome: outcome(0.3) },
    { peer: "hub", round: 3, outcome: outcome(0.7) },
    { peer: "go", round: 3, outcome: { ...outcome(0.9), voids: ["too busy"] } },
  ];
  const result: Result = {
    scenario: "fanout",
    environment: ENVIRONMENT,
    settings: SETTINGS,
    rounds: 3,
    baseline: "hub",
    leftOut: [{ peer: "nchan", reason: "nginx is not installed" }],
    cases: [{ label: "1,000 streams & more", runs }],
  };
  // As it comes back from the file that it was kept in.
  return JSON.parse(JSON.stringify(result)) as Result;
}

test("the page has the medians, the ratios, and what was wrong", () => {
  const text = page({
    results: [{ scenario: fanout, result: fixture() }],
    codec: {
      environment: ENVIRONMENT,
      comparisons: [
        {
          codec: "decode",
          ours: "@sse/protocol",
          peer: "other",
          fixtures: [{ name: "short", ours: 1000, peer: 2500, ratio: 2.5 }],
          geometricMean: 2.5,
          rounds: {},
        },
      ],
    },
    peers: [
      { name: "hub", about: "this one" },
      { name: "nchan", about: "not run here" },
    ],
  });
  expect(text).toContain("Some CPU <fast>");
  expect(text).toContain("2026-01-02");
  expect(text).toMatch(/\| hub +\| +0.3 us \| +1.23 M \|.*\| +1.00 \| +30,000 \| +0 \|/);
  expect(text).toMatch(/\| go +\| +0.9 us \|.*\| +3.00 \| +29,997 \| +3 \|/);
  expect(text).toContain("- go: WRONG, events 3 lost");
  expect(text).toContain("- go: VOID, too busy");
  expect(text).toContain("Left out: nchan, nginx is not installed.");
  expect(text).toContain(fanout.question);
  expect(text).toMatch(/\| short +\| +1 us \| +2.5 us \| +2.50 \|/);
  expect(text).not.toContain("not run here");
});

test.each(["light", "dark"] as const)(
  "the %s chart is well-formed, and has a bar for each server",
  (name) => {
    const svg = chart(fanout, fixture(), THEMES[name]);
    expect(svg).toContain("1,000 streams &amp; more: CPU per delivery");
    expect(svg.match(/<rect /g)).toHaveLength(2);
    const widths = [...svg.matchAll(/width="([0-9.]+)" height="18"/g)].map(([, width]) => Number(width));
    expect(widths[1]! / widths[0]!).toBeCloseTo(3, 1);
    expect(svg.match(/<line /g)).toHaveLength(2);
    let depth = 0;
    const rewriter = new HTMLRewriter().on("*", {
      element(element) {
        depth++;
        if (!element.selfClosing) element.onEndTag(() => void depth--);
        else depth--;
      },
    });
    rewriter.transform(svg);
    expect(depth).toBe(0);
  },
);

test("a chart of nothing measured is still one", () => {
  const result = fixture();
  const nothing = {
    ...result,
    cases: [{ label: "none", runs: [{ peer: "hub", round: 1, outcome: { ...outcome(null), figures: {} } }] }],
  };
  const svg = chart(fanout, nothing, THEMES.light);
  expect(svg).not.toMatch(/NaN|Infinity/);
});
