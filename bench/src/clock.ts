/**
 * Microseconds since 1970 that never step, for times that one process takes and another compares. `performance.timeOrigin` is
 * read once from the wall clock when a process starts, and `performance.now()` counts on from there monotonically: processes of
 * one machine agree to about a microsecond (`Generator` asks each of its processes for the time, and refuses one that does not
 * agree). `process.hrtime()` will not do: in Bun it counts from the start of the process.
 */
export function now(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}
