import { readFileSync, readdirSync } from "node:fs";

/*
 * What Linux says of processes; null where there is no /proc, or the process is gone, so that reports show a dash and not a
 * made-up number.
 */

/** Seconds of a clock tick: USER_HZ, which is 100 on all Linux there is. */
const TICK_SECONDS = 0.01;

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** The sum over processes; null when one has no value. */
function sum(pids: readonly number[], value: (pid: number) => number | null): number | null {
  let total = 0;
  for (const pid of pids) {
    const one = value(pid);
    if (one === null) return null;
    total += one;
  }
  return pids.length === 0 ? null : total;
}

/** CPU time that processes have used, user and system, in seconds; exact to a hundredth. */
export function cpuSeconds(pids: readonly number[]): number | null {
  return sum(pids, (pid) => {
    const stat = read(`/proc/${pid}/stat`);
    if (stat === null) return null;
    // Counted from after the name, which may have spaces and brackets.
    const [user, system] = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13);
    return (Number(user) + Number(system)) * TICK_SECONDS;
  });
}

/** Resident memory of processes, in bytes. */
export function residentBytes(pids: readonly number[]): number | null {
  return sum(pids, (pid) => {
    const resident = /^VmRSS:\s+([0-9]+) kB$/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
    return resident === undefined ? null : Number(resident) * 1024;
  });
}

export function openDescriptors(pid: number): number | null {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return null;
  }
}

/** How many descriptors a process may have open; Infinity where nothing says. */
export function descriptorLimit(pid: number | "self"): number {
  const limit = /^Max open files\s+([0-9]+)/m.exec(read(`/proc/${pid}/limits`) ?? "")?.[1];
  return limit === undefined ? Infinity : Number(limit);
}

/** Connections that the kernel turned away because a listen backlog was full, since it started. */
export function listenOverflows(): number | null {
  const lines = (read("/proc/net/netstat") ?? "").split("\n").filter((line) => line.startsWith("TcpExt:"));
  const index = lines[0]?.split(" ").indexOf("ListenOverflows") ?? -1;
  return index === -1 ? null : Number(lines[1]!.split(" ")[index]);
}

/** Memory that could be had without swapping, in bytes. */
export function availableBytes(): number | null {
  const available = /^MemAvailable:\s+([0-9]+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1];
  return available === undefined ? null : Number(available) * 1024;
}
