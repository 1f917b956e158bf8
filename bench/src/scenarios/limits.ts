import { addTally, emptyTally, type Tally } from "../ledger.ts";
import { availableBytes, descriptorLimit, listenOverflows, openDescriptors } from "../procfs.ts";
import type { RunningPeer } from "../peers/peer.ts";
import type { Scenario } from "../scenario.ts";
import { difference, outcome, per, Stage } from "../stage.ts";

const MAX_STREAMS = 50_000;
const STEP = 1000;
const DURATION = 40_000;
const EVENTS = 5;
/** One that takes longer is one that the server can no longer take; milliseconds. */
const OPEN_WITHIN = 5000;
/** For the server to see that some are gone; milliseconds. */
const RECOVERY = 1000;
/** Memory that has to stay free for the rest of the machine. */
const SPARE_BYTES = 512 * 1024 * 1024;

export const limits: Scenario = {
  name: "limits",
  question: "How many streams does it hold, what does each cost, and what gives way first?",
  method:
    "Streams of one topic are opened a thousand at a time, until some cannot be opened, memory runs short, or the number or the time " +
    "given is reached. Then the last thousand go, a few events are published, and every other stream must get them. Memory is what the " +
    "streams after the first thousand took.",
  doesNotShow:
    "What the same server holds with limits raised, or with traffic. The memory of the kernel's sockets is not counted.",
  needs: "streams",
  columns: [
    { key: "streams", title: "streams", unit: "count" },
    { key: "bytesPerStream", title: "memory per stream", unit: "bytes" },
    { key: "cpuPerStream", title: "CPU per connect", unit: "microseconds" },
    { key: "seconds", title: "time to open", unit: "seconds" },
    { key: "overflows", title: "backlog overflows", unit: "count" },
  ],
  primary: "bytesPerStream",

  cases: ({ streams }) => [
    {
      label: `up to ${(streams ?? MAX_STREAMS).toLocaleString("en")} streams`,
      streams: streams ?? MAX_STREAMS,
    },
  ],

  async run(peer, { streams }, settings) {
    await using stage = await Stage.set(peer, streams, settings);
    const { generator } = stage;
    const { groups, open, held, memory, cpu, overflows, seconds, gave } = await ramp(
      stage,
      streams,
      settings.duration ?? DURATION,
    );
    if (gave !== null && groups.length > 1) {
      // A server without a free descriptor cannot take the publisher's connection either.
      await generator.disconnect(groups.pop()!);
      await Bun.sleep(RECOVERY);
    }
    await stage.settle();
    const publisher = stage.publisher(1);
    await publisher.publish(EVENTS);
    const tally: Tally = emptyTally();
    let dropped = 0;
    for (const group of groups) {
      const result = await stage.finish(group, publisher);
      addTally(tally, result.tally);
      dropped += result.dropped;
    }
    return outcome(null, publisher, {
      streams: open,
      deliveries: tally.received,
      tally,
      dropped,
      figures: {
        streams: open,
        bytesPerStream: memory,
        cpuPerStream: per(cpu, held, 1e6),
        seconds,
        overflows,
      },
      notes: [`gave way: ${gave ?? "nothing, the number asked for was reached"}`],
    });
  },
};

interface Ramp {
  readonly groups: string[];
  /** Streams that opened. */
  readonly open: number;
  /** Those of them up to the last thousand that opened whole, and what they took: a server that cannot accept may spin. */
  readonly held: number;
  /** Bytes for each stream after the first thousand, with which code was loaded as well; null when there were no more. */
  readonly memory: number | null;
  readonly cpu: number | null;
  readonly overflows: number | null;
  readonly seconds: number;
  /** What gave way, or null when nothing did. */
  readonly gave: string | null;
}

/** Opens streams until something gives way. */
async function ramp(stage: Stage, streams: number, duration: number): Promise<Ramp> {
  const { generator, peer } = stage;
  const [watch, overflowsBefore] = [stage.stopwatch(), listenOverflows()];
  const groups: string[] = [];
  let open = 0;
  let held = 0;
  let firstMemory: number | null = null;
  let memory: number | null = null;
  let cpu: number | null = null;
  let gave: string | null = null;
  while (held < streams && gave === null) {
    const group = `from ${held}`;
    const count = Math.min(STEP, streams - held);
    groups.push(group);
    await stage.open(group, { streams: count, channels: 1, openWithin: OPEN_WITHIN });
    const result = await generator.report(group);
    open += result.open;
    if (result.failures.size > 0) {
      gave = whatGave(peer, result.failures, difference(listenOverflows(), overflowsBefore) ?? 0);
      break;
    }
    held += count;
    if (held === STEP) firstMemory = stage.resident();
    else memory = per(difference(stage.resident(), firstMemory), held - STEP);
    ({ cpu } = watch);
    if ((availableBytes() ?? Infinity) < SPARE_BYTES) gave = "memory: the machine has less than 512 MiB left";
    else if (watch.seconds() * 1000 >= duration && held < streams) gave = "nothing, the time was over";
  }
  return {
    groups,
    open,
    held,
    memory,
    cpu,
    overflows: difference(listenOverflows(), overflowsBefore),
    seconds: watch.seconds(),
    gave,
  };
}

/** The reason, from what the generator saw and what the kernel says of the server. */
function whatGave(peer: RunningPeer, failures: ReadonlyMap<string, number>, overflows: number): string {
  const seen = [...failures].map(([reason, count]) => `${count} x ${reason}`).join(", ");
  for (const pid of peer.pids) {
    const [used, limit] = [openDescriptors(pid), descriptorLimit(pid)];
    if (used !== null && used > limit - 50)
      return `descriptors: the server has ${used} open of ${limit} allowed (ulimit -n); ${seen}`;
  }
  if (failures.has("EMFILE") || failures.has("ENFILE")) return `descriptors of the generator; ${seen}`;
  if (failures.has("EADDRNOTAVAIL")) return `ports of the generator's addresses; ${seen}`;
  if (overflows > 0) return `the listen backlog: it overflowed ${overflows} times; ${seen}`;
  return seen;
}
