import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { packAll, PACKED } from "../packages/pack.ts";

/* What would be published is installed outside of the workspace, and used there. */

const ROOT = join(import.meta.dir, "..");
let folder: string;
let tarballs: Record<string, string>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sse-packages-"));
  tarballs = await packAll(join(folder, "packed"));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(cwd: string, ...command: string[]): Promise<string> {
  const child = Bun.spawn(command, {
    cwd,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...Bun.env, NO_COLOR: "1" },
  });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}\n${out}\n${error}`);
  return out;
}

/** A project that depends on the tarballs, also where they depend on each other. */
async function project(name: string, dependencies: Record<string, string>): Promise<string> {
  const path = join(folder, name);
  await cp(join(ROOT, "test/consumer"), path, { recursive: true });
  const files = Object.fromEntries(Object.entries(tarballs).map(([each, file]) => [each, `file:${file}`]));
  const manifest = { name, private: true, type: "module", dependencies: { ...files, ...dependencies } };
  await Bun.write(join(path, "package.json"), JSON.stringify({ ...manifest, overrides: files }));
  return path;
}

describe.each(PACKED)("the package %s", (name) => {
  const tarball = async (): Promise<ArrayBuffer> => await Bun.file(tarballs[`@sse/${name}`]!).arrayBuffer();

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
    const files = await new Bun.Archive(await tarball()).files();
    const text = await files.get("package/package.json")!.text();
    expect(text).not.toMatch(/workspace:|catalog:|"private"|src\//);
    expect([...files.keys()]).toContain("package/LICENSE");
    expect(
      [...files.keys()].filter((file) => file.includes(".test.") || file.endsWith("tsconfig.json")),
    ).toEqual([]);
    const readme = await files.get("package/README.md")!.text();
    expect(readme).toContain(`# @sse/${name}\n`);
    // There is nothing beside it where it is read.
    expect([...readme.matchAll(/\]\((?!https:\/\/|#)[^)]*/g)].map(String)).toEqual([]);
  });
});

describe("a fresh project", () => {
  let path: string;
  beforeAll(async () => {
    const { devDependencies } = (await Bun.file(join(ROOT, "packages/hub/package.json")).json()) as {
      devDependencies: Record<string, string>;
    };
    const { workspaces } = (await Bun.file(join(ROOT, "package.json")).json()) as {
      workspaces: { catalog: Record<string, string> };
    };
    const { elysia, "bun-types": bunTypes } = workspaces.catalog;
    path = await project("in-bun", { elysia: elysia!, "bun-types": bunTypes!, zod: devDependencies["zod"]! });
    await run(path, "bun", "install", "--silent");
  });

  test("runs in Bun", async () => {
    const [types, refusal] = JSON.parse(await run(path, "bun", "consumer.ts", join(path, "events.db"))) as [
      string[],
      string,
    ];
    expect(types).toEqual(['sse:ready {"resume":"fresh","replayed":1}', 'message {"total":99}', "total 99"]);
    expect(refusal).toContain("data.total: ");
  });

  test.each(["bundler", "nodenext"])("is type-checked with moduleResolution %s", async (moduleResolution) => {
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: false,
      target: "ESNext",
      module: moduleResolution === "bundler" ? "Preserve" : "NodeNext",
      moduleResolution,
      types: ["bun-types"],
    };
    const config = join(path, `tsconfig.${moduleResolution}.json`);
    await Bun.write(config, JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
    const checker = Bun.spawn([join(ROOT, "node_modules/.bin/tsc"), "-p", config], {
      cwd: path,
      stdout: "pipe",
    });
    const lines = (await checker.stdout.text()).split("\n");
    // Elysia's own declarations do not hold up to such a check.
    expect(lines.filter((line) => /^(consumer|node_modules\/@sse)/.test(line))).toEqual([]);
    expect(lines.some((line) => line.includes(": error") && !line.startsWith("node_modules/"))).toBeFalse();
  });

  // Those of the client need a server of theirs.
  test.each(["protocol", "hub", "http", "elysia"])("runs what the readme of %s shows", async (name) => {
    const readme = await Bun.file(join(ROOT, "packages", name, "README.md")).text();
    const [, snippet] = /```ts\n([\s\S]*?)```/.exec(readme)!;
    const file = join(path, `${name}.ts`);
    await Bun.write(file, `${snippet!.replace("port: 3001", "port: 0")}\nprocess.exit(0);\n`);
    const out = await run(path, "bun", file);
    if (name === "protocol") expect(out).toBe("paid 42 two\nlines\n");
    if (name === "hub") expect(out).toMatch(/^event: paid\ndata: \{"total":99\}\nid: .+\n\n/m);
  });
});

test("in Node all of it runs, also in Express, and what misses a package says so", async () => {
  const path = await project("in-node", { node: "22.18.0", express: "5.3.0" }); // the oldest that the hub is for
  await run(path, "npm", "install", "--silent", "--no-audit", "--no-fund");
  const [data, subscribed, client, published, elsewhere, delivered, ...refusals] = JSON.parse(
    await run(path, join(path, "node_modules/.bin/node"), "--no-warnings", "node.mjs"),
  ) as unknown[];
  expect([data, subscribed, client, delivered]).toEqual(["hello", "subscribed", "function", true]);
  expect([published, elsewhere]).toEqual(["over Express", 404]);
  expect(refusals).toEqual([
    "a log in Redis needs the package ioredis; install it beside @sse/hub",
    expect.stringContaining("@nats-io/"),
  ]);
});
