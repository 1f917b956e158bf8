import { expect, test } from "bun:test";
import { join } from "node:path";
import { LIMITS, SETTINGS } from "../apps/server/src/settings.ts";

/* What docs/limits.md says of settings is what they are. */

const DOCS = await Bun.file(join(import.meta.dir, "../docs/limits.md")).text();
const ROWS = new Map(
  [...DOCS.matchAll(/^\| `--([a-z-]+)`\s*\| (?:`([^`]+)`|none)\s*\|/gm)].map(([, flag, value = ""]) => [
    flag,
    value,
  ]),
);

test("every limit is there", () => {
  for (const { name, flag } of SETTINGS) {
    if (name in LIMITS && !ROWS.has(flag!)) expect(DOCS).toContain(`\`--${flag}\``);
  }
});

test.each([...ROWS])("--%s has the default %j", (flag, value) => {
  expect(SETTINGS.find((setting) => setting.flag === flag)?.fallback).toBe(value);
});

test("the defaults that stand in the text are right", () => {
  const named = [...DOCS.matchAll(/`--([a-z-]+)` \(`?([0-9a-zA-Z]+)`?\)/g)];
  expect(named.length).toBeGreaterThan(2);
  for (const [, flag, value] of named) {
    expect([flag, SETTINGS.find((setting) => setting.flag === flag)?.fallback]).toEqual([flag, value]);
  }
});
