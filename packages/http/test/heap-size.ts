interface Runtime {
  readonly Bun?: { gc(isSync: boolean): void };
  gc?(): void;
}

/** Bytes that are still used in the heap when all is collected that can be. */
export async function heapSize(): Promise<number> {
  const { Bun, gc } = globalThis as Runtime;
  for (let round = 0; round < 2; round++) Bun === undefined ? gc!() : Bun.gc(true);
  if (Bun === undefined) return process.memoryUsage().heapUsed;
  const { heapStats } = await import("bun:jsc");
  const { heapSize: size, extraMemorySize } = heapStats();
  return size + extraMemorySize;
}
