import type { SimulatedClient } from "./client.ts";
import type { SimulatedNode } from "./node.ts";
import type { World } from "./world.ts";

/** Tasks that may follow from one moment: more, and it never becomes quiet. */
const MOST_TASKS = 50_000;
/** How long everybody has to get everything, in milliseconds. */
const PATIENCE = 180_000;
/** How long logs have to evict what is over their bounds, in milliseconds. */
const AFTERWARDS = 2500;
/** How long a stream that is never attached can stay: until the log answers, and then ten seconds. */
const UNATTACHED = 60_000;
/** What a stream that is met late by the deadlines' round may be late. */
const ROUND = 1000;

/** The end of a run: nothing fails any more, time passes in its order, everybody gets everything, leaves, and leaves nothing behind. */
export function finish(world: World): void {
  const { run, store, clients } = world;
  run.trace.note("the end");
  run.isCalm = true;
  store.heal();
  for (const { connection } of clients) connection?.goOn();
  settle(world);
  if (run.random.chance(0.2)) watch(world);
  const publisher = world.nodes.find((node) => node?.hub != null);
  if (publisher != null) world.publishers.repeatUnanswered(publisher);
  catchUp(world);
  pass(world, () => world.nodes.every((node) => node === null || store.maySpare(node)), PATIENCE);
  pass(world, () => false, AFTERWARDS);
  if (run.verdict.violation !== null) return;
  store.checkAtEnd();
  leaveNothing(world);
}

/** Everything happens that can. */
function settle(world: World): void {
  for (let left = MOST_TASKS; world.run.verdict.violation === null && world.runTask(); left--) {
    if (left > 0) continue;
    world.run.verdict.wrong("progress", "it never becomes quiet");
    return;
  }
  world.checkProgress();
}

/** Time passes, and whatever is due happens at once. */
function pass(world: World, until: () => boolean, longest: number): boolean {
  const { scheduler, verdict } = world.run;
  const end = scheduler.now + longest;
  while (!until()) {
    if (verdict.violation !== null || scheduler.now >= end) return false;
    scheduler.advance(Math.min(end, scheduler.nextDue));
    settle(world);
  }
  return true;
}

/** Each client is open at some moment and has everything; then it leaves, and makes room. */
function catchUp(world: World): void {
  const { clients, run } = world;
  const isDone = (): boolean => {
    for (const client of clients.slice()) if (hasAll(world, client)) world.leave(client);
    return clients.length === 0;
  };
  if (pass(world, isDone, PATIENCE)) return;
  const { name, state } = clients[0] ?? { name: "nobody", state: "" };
  run.verdict.wrong("progress", `${name} has not got everything in three minutes: it is ${state}`);
}

function hasAll(world: World, client: SimulatedClient): boolean {
  const { connection, ledger, state } = client;
  if (state === "over") return true;
  if (connection === null || !connection.isOpen || !ledger.isReady || !connection.isDelivered) return false;
  const { node } = connection;
  if (node.isGone || node.isClosing || !world.store.isWell(node)) return false;
  return world.waitsInVain(client) === null;
}

/** While everything happens in time, no stream is silent for longer than the heartbeat, or blocked for longer than the deadline. */
function watch(world: World): void {
  const { run, clients } = world;
  const { heartbeat, writeDeadline } = run.config.hub;
  const begin = run.scheduler.now;
  for (const { connection } of clients) if (run.random.chance(0.3)) connection?.stall();
  const look = (): boolean => {
    const { now } = run.scheduler;
    for (const { connection, name } of clients) {
      // One that has no bytes yet waits for the log, and `catchUp` sees that it does not do so for ever.
      if (connection === null || !connection.isOpen || !connection.hasBegun) continue;
      const since = (time: number): number => Math.min(now - begin, connection.node.clock.now() - time);
      const limit = connection.isBlocked ? writeDeadline : heartbeat;
      const quiet = since(connection.isBlocked ? connection.blockedSince : connection.lastWrite);
      const late = connection.isBlocked ? Math.min(ROUND, limit ?? 0) * 3 : 1;
      if (limit !== null && quiet > limit + late)
        run.verdict.wrong(
          "deadline",
          `${name} is ${connection.isBlocked ? "blocked" : "silent"} for ${quiet} ms`,
        );
    }
    return false;
  };
  pass(world, look, Math.min(40_000, 3 * Math.max(heartbeat ?? 0, writeDeadline ?? 0)));
  for (const { connection } of clients) connection?.goOn();
  settle(world);
}

function leaveNothing(world: World): void {
  const { run } = world;
  const nodes = world.nodes.filter((node): node is SimulatedNode => node?.hub != null);
  const isEmpty = (): boolean => nodes.every(({ hub }) => hub!.stats().streams === 0);
  settle(world);
  if (!pass(world, isEmpty, UNATTACHED)) {
    const counts = nodes.map(({ hub }) => hub!.stats().streams);
    run.verdict.wrong("leak", `all clients have gone, and the nodes have ${counts.join(", ")} streams`);
  }
  run.isLeaving = true;
  for (const node of nodes) node.close(0);
  pass(world, () => nodes.every(({ isClosed }) => isClosed), 20_000);
  settle(world);
  for (const { isClosed, name, clock } of nodes) {
    run.verdict.holds(isClosed, "progress", () => `${name} does not close`);
    run.verdict.holds(clock.pending.size === 0, "leak", () => {
      const left = [...clock.pending].map(({ milliseconds }) => `${milliseconds} ms`);
      return `${name} is closed, and has timers of ${left.join(", ")}`;
    });
  }
}
