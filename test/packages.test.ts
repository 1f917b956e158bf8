import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { packAll, PACKED } from "../packages/pack.ts";

/* What would be published. `bun run test:packages` installs and uses it. */

let folder: string;
let tarballs: Record<string, string>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sse-packages-"));
  tarballs = await packAll(folder);
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(PACKED)("the package %s", (name) => {
  const tarball = async (): Promise<ArrayBuffer> => await Bun.file(tarballs[`@sse/${name}`]!).arrayBuffer();
  const contents = async (): Promise<Map<string, string>> => {
    const files = [...(await new Bun.Archive(await tarball()).files())];
    return new Map(await Promise.all(files.map(async ([path, file]) => [path, await file.text()] as const)));
  };

  test("has nothing that publint would mend", async () => {
    const { messages, pkg } = await publint({ pack: { tarball: await tarball() }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  test("has types that are found by those who can import it", async () => {
    const result = await checkPackage(createPackageFromTarballData(new Uint8Array(await tarball())));
    // ESM only: `require` of Node before 22, and resolution as of 2012, are not for it.
    const problems = (result.types === false ? ["no types"] : result.problems).filter(
      (each) =>
        typeof each === "string" ||
        !("resolutionKind" in each) ||
        (each.resolutionKind !== "node10" && each.resolutionKind !== "node16-cjs"),
    );
    expect(problems).toEqual([]);
  });

  test("has the versions of what it depends on, a licence and a readme, and no tests", async () => {
    const files = await contents();
    const text = files.get("package/package.json")!;
    expect(text).not.toMatch(/workspace:|catalog:|"private"|src\//);
    expect([...files.keys()]).toContain("package/LICENSE");
    expect(
      [...files.keys()].filter((file) => file.includes(".test.") || file.endsWith("tsconfig.json")),
    ).toEqual([]);
    const readme = files.get("package/README.md")!;
    expect(readme).toContain(`# @sse/${name}\n`);
    // There is nothing beside it where it is read.
    expect([...readme.matchAll(/\]\((?!https:\/\/|#)[^)]*/g)].map(String)).toEqual([]);
  });

  test("is JavaScript with maps that have the sources, and nothing of this machine", async () => {
    const files = await contents();
    const scripts = [...files.keys()].filter((file) => file.endsWith(".js") && !file.endsWith("bun-only.js"));
    expect(scripts.length).toBeGreaterThan(1);
    for (const script of scripts) {
      const map = JSON.parse(files.get(`${script}.map`)!) as { sources: string[]; sourcesContent: string[] };
      const source = script.replace("/dist/", "/src/").replace(/js$/, "ts");
      expect(join(dirname(script), map.sources[0]!)).toBe(source);
      expect(map.sourcesContent).toEqual([
        await Bun.file(join(import.meta.dir, "../packages", name, source.replace("package/", ""))).text(),
      ]);
    }
    const machine = [tmpdir(), join(import.meta.dir, "..")];
    const telling = [...files].filter(([, text]) => machine.some((path) => text.includes(`${path}/`)));
    expect(telling.map(([path]) => path)).toEqual([]);
  });
});
