import { isTraced } from "./procfs.ts";

/** Milliseconds. */
const LOOK = 5;
const SENDS = /^(send|sendto|sendmsg|sendmmsg|write|writev)$/;

/** System calls for each delivery. */
export interface Calls {
  readonly sends: number;
  readonly all: number;
  /** The most frequent first. */
  readonly byName: readonly (readonly [name: string, calls: number])[];
}

/**
 * Counts the system calls of a process, for each delivery that a load makes.
 *
 * @returns null when there is no strace, or it is not allowed to look
 */
export async function countCalls(pid: number, load: () => Promise<number>): Promise<Calls | null> {
  if (Bun.which("strace") === null) return null;
  const strace = Bun.spawn(["strace", "-c", "-f", "-p", String(pid)], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  // What is delivered before it looks would be counted without its calls.
  while (strace.exitCode === null && !isTraced(pid)) await Bun.sleep(LOOK);
  const deliveries = await load();
  strace.kill("SIGINT");
  const lines = (await strace.stderr.text()).split("\n");
  const byName: [string, number][] = [];
  for (const line of lines) {
    // % time, seconds, usecs/call, calls, errors if any, name
    const [, calls, name] = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$/.exec(line) ?? [];
    if (calls === undefined || name === undefined || name === "total") continue;
    byName.push([name, Number(calls) / deliveries]);
  }
  if (byName.length === 0 || deliveries === 0) return null;
  return {
    sends: sum(byName.filter(([name]) => SENDS.test(name))),
    all: sum(byName),
    byName: byName.toSorted(([, a], [, b]) => b - a),
  };
}

function sum(calls: readonly (readonly [string, number])[]): number {
  return calls.reduce((total, [, count]) => total + count, 0);
}
