/** A process of the generator: holds streams, does what the parent calls for over IPC, and says several times a second how far it is. */
import { now } from "./clock.ts";
import { Group } from "./group.ts";
import type { Published } from "./ledger.ts";
import { LoadMeter } from "./load-meter.ts";
import type { CallMessage, Calls, FinishOrder, WorkerMessage } from "./messages.ts";

/** Milliseconds. Publishers look at these to not run away from the deliveries. */
const TICK = 20;
const POLL = 5;

const groups = new Map<string, Group>();
const published = new Map<string, Published>();
const meter = new LoadMeter();

function named(name: string): Group {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`there is no group "${name}"`);
  return group;
}

async function finish({ group, counts, excused, within }: FinishOrder): Promise<boolean> {
  const all: Published = { counts, excused: new Set(excused) };
  published.set(group, all);
  const streams = named(group);
  const isComplete = streams.completion(all);
  let [received, since] = [streams.received, performance.now()];
  while (!isComplete()) {
    if (streams.received !== received) [received, since] = [streams.received, performance.now()];
    else if (performance.now() - since >= within) return false;
    await Bun.sleep(POLL);
  }
  return true;
}

type Answer<Result> = Result | Promise<Result>;

const calls: {
  [Name in keyof Calls]: (order: Parameters<Calls[Name]>[0]) => Answer<ReturnType<Calls[Name]>>;
} = {
  clock: () => now(),
  open: (order) => {
    const group = new Group(order);
    groups.set(order.group, group);
    return group.connect();
  },
  disconnect: ({ group }) => named(group).disconnect(),
  reconnect: ({ group, inFlight }) => named(group).connect(inFlight),
  churn: ({ group, duration, interval }) => named(group).churn(duration, interval),
  measure: ({ from }) => {
    meter.restart();
    for (const group of groups.values()) group.measure(from);
  },
  finish,
  report: ({ group }) => named(group).report(published.get(group) ?? null),
  load: () => meter.report(),
  cursor: ({ group }) => named(group).cursor(),
};

function send(message: WorkerMessage): void {
  process.send?.(message);
}

process.on("message", ({ call, number, order }: CallMessage) => {
  const answer = async (): Promise<void> => {
    try {
      send({ kind: "answer", number, answer: await calls[call](order as never) });
    } catch (error) {
      send({ kind: "failure", number, message: String((error as Error).stack ?? error) });
    }
  };
  void answer();
});
// The parent is gone: nobody reads what would come.
process.on("disconnect", () => process.exit());

setInterval(() => {
  const all = [...groups.values()];
  const sum = (count: (group: Group) => number): number =>
    all.reduce((total, group) => total + count(group), 0);
  send({
    kind: "tick",
    open: sum(({ open }) => open),
    received: sum(({ received }) => received),
    events: sum(({ decodedEvents }) => decodedEvents),
    bytes: sum(({ bytes }) => bytes),
  });
}, TICK);
