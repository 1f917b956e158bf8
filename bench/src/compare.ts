import { check } from "./check.ts";
import { environment } from "./environment.ts";
import { freePort } from "./free-port.ts";
import type { Peer, RunningPeer } from "./peers/peer.ts";
import { PEERS } from "./peers/peers.ts";
import type { Progress } from "./progress.ts";
import type { Result, Run } from "./result.ts";
import type { Case, Outcome, Scenario, Settings } from "./scenario.ts";
import { BenchError } from "./target.ts";

export interface CompareOptions {
  readonly settings: Settings;
  readonly rounds: number;
  /** The first is the baseline. */
  readonly peers: readonly Peer[];
  readonly progress: Progress;
}

/** The peers of these names, in this order. @throws BenchError for one that there is not */
export function peersNamed(names: readonly string[]): Peer[] {
  return names.map((name) => {
    const peer = PEERS.find((each) => each.name === name);
    if (peer !== undefined) return peer;
    const known = PEERS.map((each) => each.name).join(", ");
    throw new BenchError(`there is no peer ${JSON.stringify(name)}; there are ${known}`);
  });
}

/** Why a peer takes no part in a scenario, or null. */
async function excluded(scenario: Scenario, peer: Peer): Promise<string | null> {
  if (scenario.needs !== "none" && peer.publishOnly) return "it has no streams";
  if (scenario.needs === "topics" && !peer.topics) return "it has no topics";
  if (scenario.needs === "resumes" && !peer.resumes) return "its streams cannot resume";
  return await peer.prepare();
}

/**
 * Runs a scenario against peers, side by side: a fresh process for each peer, case and round; the order turns round with every
 * round (ABBA), so that a machine that grows warmer or busier favours nobody. A peer that loses events in a small run first is
 * left out.
 */
export async function compare(scenario: Scenario, options: CompareOptions): Promise<Result> {
  const { settings, rounds, progress } = options;
  const leftOut: { peer: string; reason: string }[] = [];
  const peers: Peer[] = [];
  for (const peer of options.peers) {
    progress.show(`${scenario.name}: checking ${peer.name}`);
    const reason = (await excluded(scenario, peer)) ?? (peer.publishOnly ? "" : await withPeer(peer, check));
    if (reason === "") peers.push(peer);
    else leftOut.push({ peer: peer.name, reason });
  }
  if (peers.length === 0) {
    const reasons = leftOut.map(({ peer, reason }) => `${peer}: ${reason}`).join("; ");
    throw new BenchError(`there is no peer to run ${scenario.name} against (${reasons})`);
  }
  const able = ({ resume = false }: Case): Peer[] => peers.filter(({ resumes }) => resumes || !resume);
  const cases = scenario.cases(settings).filter((each) => able(each).length > 0);
  progress.expect(cases.reduce((sum, each) => sum + able(each).length * rounds, 0));
  const results: { label: string; runs: Run[] }[] = [];
  for (const each of cases) {
    const runs: Run[] = [];
    for (let round = 1; round <= rounds; round++) {
      for (const peer of round % 2 === 1 ? able(each) : able(each).toReversed()) {
        progress.show(`${scenario.name}: ${each.label}, ${peer.name}${rounds > 1 ? `, round ${round}` : ""}`);
        const outcome: Outcome = await withPeer(peer, (running) => scenario.run(running, each, settings));
        runs.push({ peer: peer.name, round, outcome });
        progress.step();
      }
    }
    results.push({ label: each.label, runs });
  }
  progress.clear();
  return {
    scenario: scenario.name,
    environment: await environment(),
    settings,
    rounds,
    baseline: peers[0]!.name,
    leftOut,
    cases: results,
  };
}

/** Peers that run now, to be stopped when the bench is interrupted. */
const running = new Set<RunningPeer>();

export async function stopPeers(): Promise<void> {
  await Promise.all([...running].map((peer) => peer[Symbol.asyncDispose]()));
}

async function withPeer<Answer>(peer: Peer, use: (running: RunningPeer) => Promise<Answer>): Promise<Answer> {
  await using server = await peer.start(freePort());
  running.add(server);
  try {
    return await use(server);
  } finally {
    running.delete(server);
  }
}
