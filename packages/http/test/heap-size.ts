interface Runtime {
  readonly Bun?: { gc(isSync: boolean): void };
  gc?(this: void): void;
}

/** Bytes that are still used in the heap when all is collected that can be. */
export async function heapSize(): Promise<number> {
  const { Bun, gc } = globalThis as Runtime;
  const collect = gc ?? (() => Bun!.gc(true));
  for (let round = 0; round < 2; round++) collect();
  if (Bun === undefined) return process.memoryUsage().heapUsed;
  const { heapStats } = await import("bun:jsc");
  const { heapSize: size, extraMemorySize } = heapStats();
  return size + extraMemorySize;
}
