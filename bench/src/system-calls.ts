import { isTraced } from "./procfs.ts";

/** Milliseconds. */
const LOOK = 5;
const SENDS = /^(send|sendto|sendmsg|sendmmsg|write|writev)$/;

/**
 * Counts the system calls of a process, for each delivery that a load makes.
 *
 * @returns null when there is no strace, or it is not allowed to look
 */
export async function countCalls(
  pid: number,
  load: () => Promise<number>,
): Promise<{ sends: number; all: number } | null> {
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
  let sends = 0;
  let all = 0;
  for (const line of lines) {
    // % time, seconds, usecs/call, calls, errors if any, name
    const [, calls, name] = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$/.exec(line) ?? [];
    if (calls === undefined || name === undefined || name === "total") continue;
    all += Number(calls);
    if (SENDS.test(name)) sends += Number(calls);
  }
  return all === 0 || deliveries === 0 ? null : { sends: sends / deliveries, all: all / deliveries };
}
