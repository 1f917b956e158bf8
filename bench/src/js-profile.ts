/** Microseconds in JavaScript and what it calls, the kernel too, by what the server was at. */
export interface JsTime {
  readonly fanOut: number;
  readonly log: number;
  readonly publish: number;
}

interface CpuProfile {
  /** Microseconds, as `now()`. */
  readonly startTime: number;
  readonly nodes: readonly { id: number; children?: readonly number[]; callFrame: { url: string } }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

/** The profiler counts the time in which the process slept to the sample after it; microseconds. */
const LONGEST_SAMPLE = 1500;

const PARTS: readonly [RegExp, keyof JsTime][] = [
  [/packages\/hub\/src\/(logs\/|log|event|numbering|cursor|topic)|packages\/protocol\//, "log"],
  [/packages\/hub\/src\/(delivery|cohort|slice|stream|sink|direct-sink|sweep|control)/, "fanOut"],
  [
    /packages\/elysia\/|packages\/hub\/|apps\/server\/|node_modules\/(elysia|prom-client|@elysiajs)/,
    "publish",
  ],
];

/**
 * Reads a `.cpuprofile` from a time on. What has no place of its own, as a native function, counts to its caller.
 *
 * @param from as `now()`: what a server does until it is ready is not of a delivery
 */
export async function jsTime(file: string, from: number): Promise<JsTime> {
  const { nodes, samples, timeDeltas, startTime } = (await Bun.file(file).json()) as CpuProfile;
  const parts = new Map<number, keyof JsTime | null>();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const place = (id: number, inherited: keyof JsTime | null): void => {
    const { callFrame, children = [] } = byId.get(id)!;
    const own = PARTS.find(([pattern]) => pattern.test(callFrame.url))?.[1] ?? inherited;
    parts.set(id, own);
    for (const child of children) place(child, own);
  };
  place(nodes[0]!.id, null);
  const sums = { fanOut: 0, log: 0, publish: 0 };
  let time = startTime;
  for (const [at, id] of samples.entries()) {
    time += timeDeltas[at]!;
    const part = parts.get(id) ?? null;
    if (part !== null && time >= from) sums[part] += Math.min(timeDeltas[at]!, LONGEST_SAMPLE);
  }
  return sums;
}
