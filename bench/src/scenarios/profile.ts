import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { now } from "../clock.ts";
import { captureFraming } from "../framing.ts";
import { freePort } from "../free-port.ts";
import { type JsTime, jsTime } from "../js-profile.ts";
import { hub, startProfiledHub } from "../peers/hub.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { systemSeconds, userSeconds } from "../procfs.ts";
import { channelsOf } from "../publisher.ts";
import type { Case, Scenario, Settings } from "../scenario.ts";
import { difference, FINISH_WITHIN, outcome, per, Stage } from "../stage.ts";
import { type Calls, countCalls } from "../system-calls.ts";

interface ProfileCase extends Case {
  readonly inFlight: number;
}

const DURATION = 3000;
const STREAMS = 1000;
/** How long system calls are counted; milliseconds. Each call takes several times as long meanwhile. */
const COUNTED = 1500;
/** System calls that are told by name. */
const NAMED = 6;

export const profile: Scenario<ProfileCase> = {
  name: "profile",
  question: "Where does each microsecond and each byte of a delivery go?",
  method:
    "The load of fanout. CPU is the process's, of which the kernel's is part. JavaScript, with what it calls, the kernel too, is parted as " +
    "Bun's sampling profiler parts the CPU of a run of its own: fan-out is from a frame to Bun's stream; log is numbering, encoding and " +
    "keeping; publish is from the request to the log and back. The rest is Bun's HTTP server, event loop, garbage collector, and the " +
    "sending of what streams were given. System calls are counted by strace in a run of their own. Bytes are those of a captured piece of " +
    "a stream.",
  doesNotShow:
    "What a call costs: the profiler and strace slow the server down, so that batches are larger than without them. The profiler goes by the " +
    "clock, so that JavaScript's part is too large where others take the cores from the server. What it does on other " +
    "threads counts to the rest. The headers of TCP and IP.",
  needs: "profile",
  columns: [
    { key: "cpu", title: "CPU per delivery", unit: "microseconds" },
    { key: "kernel", title: "of it kernel", unit: "microseconds" },
    { key: "fanOut", title: "JS: fan-out", unit: "microseconds" },
    { key: "log", title: "JS: log", unit: "microseconds" },
    { key: "publish", title: "JS: publish", unit: "microseconds" },
    { key: "rest", title: "rest", unit: "microseconds" },
    { key: "sends", title: "sends", unit: "count" },
    { key: "calls", title: "system calls", unit: "count" },
    { key: "dataBytes", title: "data, bytes", unit: "count" },
    { key: "eventBytes", title: "id and event framing", unit: "count" },
    { key: "httpBytes", title: "HTTP framing", unit: "count" },
  ],
  primary: "cpu",

  cases: ({ streams }) =>
    [1, 32].map((inFlight) => {
      const count = streams ?? STREAMS;
      return {
        label: `${count.toLocaleString("en")} streams, ${inFlight} in flight`,
        streams: count,
        inFlight,
      };
    }),

  async run(peer, each, settings) {
    await using stage = await Stage.set(peer, { streams: each.streams, processes: settings.processes });
    const duration = settings.duration ?? DURATION;
    await open(stage, each);
    const publisher = stage.publisher(each.inFlight);
    const loaded = (milliseconds: number): Promise<number> => load(stage, publisher, each, milliseconds);
    await loaded(duration / 4); // what compilers take is not of a delivery
    const [user, system] = [userSeconds(peer.pids), systemSeconds(peer.pids)];
    const [deliveries, framing] = await Promise.all([loaded(duration), captureFraming(peer)]);
    const kernel = per(difference(systemSeconds(peer.pids), system), deliveries, 1e6);
    const inUser = per(difference(userSeconds(peer.pids), user), deliveries, 1e6);
    const calls = await countCalls(peer.pids[0]!, () => loaded(Math.min(COUNTED, duration)));
    const result = await stage.generator.report("streams");
    const cpu = kernel === null || inUser === null ? null : kernel + inUser;
    const { fanOut, log, publish } = await profiled(each, settings, duration);
    return outcome(result, publisher, {
      figures: {
        cpu,
        kernel,
        fanOut: per(cpu, 1, fanOut),
        log: per(cpu, 1, log),
        publish: per(cpu, 1, publish),
        rest: per(cpu, 1, 1 - fanOut - log - publish),
        sends: calls?.sends ?? null,
        calls: calls?.all ?? null,
        ...framing,
      },
      notes: [
        calls === null
          ? "system calls were not counted: strace is not here, or may not look"
          : `system calls for a thousand deliveries: ${mostFrequent(calls)}`,
      ],
    });
  },
};

function mostFrequent({ byName }: Calls): string {
  return byName
    .slice(0, NAMED)
    .map(([name, calls]) => `${name} ${(calls * 1000).toPrecision(3)}`)
    .join(", ");
}

async function open(stage: Stage, { streams, inFlight }: ProfileCase): Promise<void> {
  await stage.open("streams", { streams, channels: channelsOf(1, inFlight) });
  await stage.settle();
}

/** Publishes for so long; answers how many deliveries that made. */
async function load(
  stage: Stage,
  publisher: ReturnType<Stage["publisher"]>,
  { streams }: ProfileCase,
  milliseconds: number,
): Promise<number> {
  const { generator } = stage;
  const { tally: before } = await generator.report("streams");
  const end = performance.now() + milliseconds;
  await publisher.asFastAsAnswered(
    () => performance.now() >= end,
    () => generator.leastReceived,
    streams,
  );
  await generator.finish("streams", publisher.published, FINISH_WITHIN);
  return (await generator.report("streams")).tally.received - before.received;
}

/** Shares of its CPU time that a server spends in JavaScript, from one that is told to profile itself. */
async function profiled(each: ProfileCase, { processes }: Settings, duration: number): Promise<JsTime> {
  const folder = await mkdtemp(join(tmpdir(), "sse-profile-"));
  try {
    let from = 0;
    let used = 0;
    {
      await using server: RunningPeer = await startProfiledHub(freePort(), folder);
      await using stage = await Stage.set(server, { streams: each.streams, processes });
      await open(stage, each);
      const publisher = stage.publisher(each.inFlight);
      await load(stage, publisher, each, duration / 4);
      const before = stage.cpu();
      from = now();
      await load(stage, publisher, each, duration);
      used = (difference(stage.cpu(), before) ?? 0) * 1e6;
    }
    const [file] = await readdir(folder);
    if (file === undefined) throw new Error(`${hub.name} has written no profile`);
    const { fanOut, log, publish } = await jsTime(join(folder, file), from);
    // CPU time is exact to a hundredth of a second only: of a short run, JavaScript may seem to have been more than all.
    const all = Math.max(used, fanOut + log + publish, 1);
    return { fanOut: fanOut / all, log: log / all, publish: publish / all };
  } finally {
    await rm(folder, { recursive: true });
  }
}
