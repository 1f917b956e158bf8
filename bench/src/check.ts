import type { RunningPeer } from "./peers/peer.ts";
import { wrongWith } from "./result.ts";
import { outcome, Stage } from "./stage.ts";

const STREAMS = 20;
const EVENTS = 100;
const IN_FLIGHT = 4;

/**
 * Before anything is measured: whether every event comes to every stream once, in order and whole. Answers what is wrong, or
 * "": a server that loses events is fast for the wrong reason.
 */
export async function check(peer: RunningPeer): Promise<string> {
  await using stage = await Stage.set(peer, STREAMS, { processes: 1, payload: null });
  await stage.open("streams", { streams: STREAMS, channels: IN_FLIGHT, sampleEvery: 2 });
  await stage.settle();
  const publisher = stage.publisher(IN_FLIGHT);
  await publisher.publish(EVENTS);
  const result = await stage.finish("streams", publisher);
  const wrong = wrongWith(outcome(result, publisher, { figures: {} }));
  if (wrong !== "") return wrong;
  const expected = STREAMS * EVENTS;
  return result.tally.received === expected ? "" : `${result.tally.received} deliveries, not ${expected}`;
}
