import { expect, test } from "bun:test";
import { join } from "node:path";
import { CLIENT_DEFAULTS } from "../src/index.ts";

/* The README's defaults are the constants, and its options are the options. */

const folder = join(import.meta.dir, "..");
const README = await Bun.file(join(folder, "README.md")).text();
const rows = new Map(
  [...README.matchAll(/^\| `(\w+)`(?:, `(\w+)`)? +\| (.+?) +\|/gm)].flatMap(([, name, other, value]) =>
    [name, other].filter((each) => each !== undefined).map((each) => [each, value!] as const),
  ),
);

test("the README has every option, with its default", async () => {
  const source = await Bun.file(join(folder, "src/options.ts")).text();
  const options = source.slice(
    source.indexOf("interface ConnectionOptions"),
    source.indexOf("CLIENT_DEFAULTS"),
  );
  const names = [...options.matchAll(/^ {2}(\w+)\?:/gm)].map(([, each]) => each!);
  expect(names.length).toBeGreaterThan(14);
  expect([...rows.keys(), "withCredentials"].toSorted()).toEqual(names.toSorted());
  for (const [name, value] of Object.entries(CLIENT_DEFAULTS)) {
    expect([name, rows.get(name)]).toEqual([name, Array.isArray(value) ? value.join(", ") : String(value)]);
  }
});
