import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { captureFraming } from "../framing.ts";
import { freePort } from "../free-port.ts";
import { type JsTime, jsTimes } from "../js-profile.ts";
import { hub, startProfiledHub } from "../peers/hub.ts";
import type { RunningPeer } from "../peers/peer.ts";
import { systemSeconds, userSeconds } from "../procfs.ts";
import { channelsOf } from "../publisher.ts";
import type { Case, Scenario, Settings } from "../scenario.ts";
import { difference, FINISH_WITHIN, outcome, per, Stage } from "../stage.ts";
import { countCalls } from "../system-calls.ts";

interface ProfileCase extends Case {
  readonly inFlight: number;
}

const DURATION = 3000;
const STREAMS = 1000;
/** How long system calls are counted; milliseconds. Each call takes several times as long meanwhile. */
const COUNTED = 1500;

export const profile: Scenario<ProfileCase> = {
  name: "profile",
  question: "Where does each microsecond and each byte of a delivery go?",
  method:
    "The load of fanout. Kernel and user time are the process's. Time in JavaScript, with what it calls, is from Bun's sampling profiler in " +
    "a run of its own: fan-out is from a frame to Bun's stream; log is numbering, encoding and keeping; publish is from the request to the " +
    "log and back. Native is the rest of the user time: Bun's HTTP server, event loop, garbage collector, and the sending of what streams " +
    "were given. System calls are counted by strace in a run of their own. Bytes are those of a captured piece of a stream.",
  doesNotShow:
    "What a call costs: the profiler and strace slow the server down, so that batches are larger than without them; where the profiler's " +
    "times are more than all there was, there is no figure for native. The headers of TCP and IP.",
  needs: "profile",
  columns: [
    { key: "cpu", title: "CPU per delivery", unit: "microseconds" },
    { key: "kernel", title: "kernel", unit: "microseconds" },
    { key: "native", title: "native", unit: "microseconds" },
    { key: "fanOut", title: "JS: fan-out", unit: "microseconds" },
    { key: "log", title: "JS: log", unit: "microseconds" },
    { key: "publish", title: "JS: publish", unit: "microseconds" },
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
    const js = await profiled(each, settings, duration);
    const inJs = js.fanOut + js.log + js.publish;
    return outcome(result, publisher, {
      figures: {
        cpu: kernel === null || inUser === null ? null : kernel + inUser,
        kernel,
        native: inUser === null || inUser < inJs ? null : inUser - inJs,
        ...js,
        sends: calls?.sends ?? null,
        calls: calls?.all ?? null,
        ...framing,
      },
      notes: calls === null ? ["system calls were not counted: strace is not here, or may not look"] : [],
    });
  },
};

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

/** Microseconds for each delivery in JavaScript, from a server that is told to profile itself. */
async function profiled(each: ProfileCase, { processes }: Settings, duration: number): Promise<JsTime> {
  const folder = await mkdtemp(join(tmpdir(), "sse-profile-"));
  try {
    let deliveries = 0;
    {
      await using server: RunningPeer = await startProfiledHub(freePort(), folder);
      await using stage = await Stage.set(server, { streams: each.streams, processes });
      await open(stage, each);
      deliveries = await load(stage, stage.publisher(each.inFlight), each, duration);
    }
    const [file] = await readdir(folder);
    if (file === undefined) throw new Error(`${hub.name} has written no profile`);
    return await jsTimes(join(folder, file), deliveries);
  } finally {
    await rm(folder, { recursive: true });
  }
}
