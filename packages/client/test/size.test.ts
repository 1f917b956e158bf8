import { expect, test } from "bun:test";
import { join } from "node:path";

/* What a page loads, of a bundler that puts what is imported on demand into files of their own. */

const ENTRY = join(import.meta.dir, "../src/index.ts");

/** The minified files; the first is what everybody loads. */
async function bundled(external: string[]): Promise<string[]> {
  const { outputs } = await Bun.build({
    entrypoints: [ENTRY],
    target: "browser",
    minify: true,
    external,
    splitting: true,
    modulePreload: false, // the bundler's own code, not the client's
  });
  return await Promise.all(outputs.map((output) => output.text()));
}

test("the client is 4.5 KB at most, and 7.5 KB with the decoder; what shares is loaded by who shares", async () => {
  for (const [external, limit] of [
    [["@sse/protocol"], 4.5 * 1024],
    [[], 7.5 * 1024],
  ] as const) {
    const [first, ...others] = await bundled([...external]);
    expect(Bun.gzipSync(first!).length).toBeLessThanOrEqual(limit);
    // Nothing else is there from the beginning.
    const { imports } = new Bun.Transpiler({ loader: "js" }).scan(first!);
    const local = imports.filter(({ path }) => path.startsWith("."));
    expect(local.map(({ kind }) => kind)).toEqual(["dynamic-import"]);
    expect([first!.includes("postMessage"), others.map((each) => each.includes("postMessage"))]).toEqual([
      false,
      [true],
    ]);
  }
});
