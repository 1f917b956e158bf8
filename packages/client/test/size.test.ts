import { expect, test } from "bun:test";
import { join } from "node:path";

/* What a page loads. */

const ENTRY = join(import.meta.dir, "../src/index.ts");

/** Bytes of a minified bundle after gzip. */
async function gzipped(external: string[]): Promise<number> {
  const { outputs } = await Bun.build({ entrypoints: [ENTRY], target: "browser", minify: true, external });
  return Bun.gzipSync(await outputs[0]!.arrayBuffer()).length;
}

test("the client is 4 KB at most, and 7.5 KB with the decoder", async () => {
  expect(await gzipped(["@sse/protocol"])).toBeLessThanOrEqual(4096);
  expect(await gzipped([])).toBeLessThanOrEqual(7.5 * 1024);
});
