import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const SOURCES = join(import.meta.dirname, "../src");
const CONSTANT = /^(?:export )?const ([A-Z][A-Z_]*)(?:: number)? = (.+);$/gm;
const NUMBER = /^[0-9_]+(?: \* [0-9_]+)*$/;
const LENGTH = /^"([^"]*)"\.length$/;
const COMMENTS = /\/\*[\s\S]*?\*\/|\/\/.*$/gm;

/** The code, without comments. */
async function sources(): Promise<string[]> {
  const own = (await readdir(SOURCES)).filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"));
  return await Promise.all(
    own.map(async (path) => (await readFile(join(SOURCES, path), "utf8")).replaceAll(COMMENTS, "")),
  );
}

function numberOf(expression: string): number | undefined {
  if (NUMBER.test(expression)) {
    return expression
      .split(" * ")
      .reduce((product, factor) => product * Number(factor.replaceAll("_", "")), 1);
  }
  return LENGTH.exec(expression)?.[1]?.length;
}

/**
 * Every number that the codec decides by: its named constants, read from the source, so that no new one can be forgotten by the
 * tests that draw lengths around them.
 */
export async function thresholds(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const code of await sources()) {
    for (const [, name, expression] of code.matchAll(CONSTANT)) {
      const value = numberOf(expression!);
      if (value !== undefined) found.set(name!, value);
    }
  }
  return found;
}

/** Numbers of two digits and more that have no name. */
export async function unnamedNumbers(): Promise<string[]> {
  const rest = (await sources()).map((code) =>
    code.replaceAll(CONSTANT, (line, _, expression: string) =>
      numberOf(expression) === undefined ? line : "",
    ),
  );
  return rest.flatMap((code) => code.match(/(?<![\w.])\d[\d_]+(?![\w.])/g) ?? []);
}
