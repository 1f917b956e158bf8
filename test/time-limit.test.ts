import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import root from "../package.json" with { type: "json" };
import { ROOT } from "./snippets.ts";

/* However tests are run, and wherever: none is ended for being slow. */

const LIMIT = join(import.meta.dir, "time-limit.ts");

test("the limit holds for every file of a run, in one process and in several", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sse-limit-"));
  const slow = 'import { test } from "bun:test";\ntest("slow", () => Bun.sleep(50));\n';
  await Bun.write(join(folder, "bunfig.toml"), `[test]\npreload = ["${LIMIT}"]\n`);
  for (const name of ["a", "b", "c"]) await Bun.write(join(folder, `${name}.test.ts`), slow);
  for (const how of [[], ["--isolate"], ["--parallel=2"]]) {
    // A default of a millisecond, in place of the five seconds.
    const run = Bun.spawn(["bun", "test", "--timeout=1", ...how], { cwd: folder, stderr: "pipe" });
    expect(await run.stderr.text()).toContain(" 3 pass\n 0 fail\n");
  }
  await rm(folder, { recursive: true });
});

test("every workspace that has tests has it", async () => {
  const preloaded: string[] = [];
  for (const pattern of [".", ...root.workspaces.packages]) {
    for await (const manifest of new Bun.Glob(join(pattern, "package.json")).scan(ROOT)) {
      const { scripts = {} } = (await Bun.file(join(ROOT, manifest)).json()) as { scripts?: object };
      if (!("test" in scripts)) continue;
      const folder = dirname(join(ROOT, manifest));
      const bunfig = Bun.TOML.parse(await Bun.file(join(folder, "bunfig.toml")).text());
      preloaded.push(
        ...(bunfig as { test: { preload: string[] } }).test.preload.map((file) => join(folder, file)),
      );
    }
  }
  expect(preloaded.length).toBeGreaterThan(7);
  expect(new Set(preloaded)).toEqual(new Set([LIMIT]));
});
