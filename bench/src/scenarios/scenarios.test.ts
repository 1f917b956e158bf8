import { afterAll, beforeAll, expect, test } from "bun:test";
import { check } from "../check.ts";
import { peersNamed } from "../compare.ts";
import { freePort } from "../free-port.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { wrongWith } from "../result.ts";
import type { Settings } from "../scenario.ts";
import { SCENARIOS } from "./list.ts";

/* Every scenario in a tiny size against the hub: that it runs, and that nothing is lost. What it measures is not looked at. */

const TINY: Settings = { streams: 12, duration: 100, events: 30, rate: 100, payload: null, processes: 1 };

let hub: RunningPeer;
beforeAll(async () => {
  hub = await peersNamed(["hub"])[0]!.start(freePort());
});
afterAll(() => hub[Symbol.asyncDispose]());

test("the hub passes the check that comes before a measurement", async () => {
  expect(await check(hub)).toBe("");
});

test.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))("%s", async (name, scenario) => {
  for (const each of scenario.cases(TINY)) {
    const outcome = await scenario.run(hub, each, TINY);
    expect(wrongWith(outcome)).toBe("");
    expect(outcome.published).toBeGreaterThan(0);
    if (name !== "publish") expect(outcome.deliveries).toBeGreaterThan(0);
    for (const { key } of scenario.columns) expect(Object.keys(outcome.figures)).toContain(key);
  }
});
