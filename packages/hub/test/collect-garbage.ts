/** Frees what nothing refers to. Node and Deno have to be run with `--expose-gc`. */
export function collectGarbage(): void {
  const { Bun: bun, gc } = globalThis as { Bun?: { gc(isSynchronous: boolean): void }; gc?: () => void };
  if (bun === undefined) gc!();
  else bun.gc(true);
}
