import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packAll } from "../../packages/pack.ts";
import catalogs from "../../package.json" with { type: "json" };
import hub from "../../packages/hub/package.json" with { type: "json" };
import { nodeBinary } from "../runtimes/node-binary.ts";
import { ROOT, snippetsOf } from "../snippets.ts";

/*
 * `bun run test:packages`: the packages are installed in empty folders by npm, pnpm, Bun and Deno, as the README says, and used
 * there. Needs a registry for what they depend on.
 */

setDefaultTimeout(300_000); // only what hangs takes so long

const PNPM = "npx --yes pnpm@12.21.0";
const README = await Bun.file(join(ROOT, "README.md")).text();
const commands = snippetsOf(README, "sh")
  .find((each) => each.includes("pnpm add"))!
  .trimEnd()
  .split("\n");
const { catalog } = catalogs.workspaces;

let folder: string;
let packed: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sse-installed-"));
  packed = join(folder, "sse/dist");
  await packAll(packed);
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a command line in a project; fails with what it said when it fails. */
async function run(project: string, line: string): Promise<string> {
  const child = Bun.spawn(["bash", "-c", line], {
    cwd: join(folder, project),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...Bun.env, NO_COLOR: "1" },
  });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${line}\n${out}\n${error}`);
  return out;
}

/** An empty folder beside `sse`. */
const emptyProject = (name: string): Promise<unknown> => mkdir(join(folder, name));

const addProgram = (project: string, program: string): Promise<void> =>
  copyFile(join(ROOT, "test/consumer", program), join(folder, project, program));

/** Runs a program of a project in a version of Node. */
async function runInNode(version: string, project: string, program: string): Promise<unknown> {
  const node = await nodeBinary(version);
  return JSON.parse(await run(project, `${node} --no-warnings ${program}`));
}

/** What the compiler says of a program and of our declarations, in a strict project. */
async function typeErrors(
  project: string,
  program: string,
  moduleResolution: string,
  types: readonly string[],
  target = "ESNext",
): Promise<string[]> {
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    target,
    module: moduleResolution === "bundler" ? "Preserve" : "NodeNext",
    moduleResolution,
    types,
  };
  const path = join(folder, project);
  await Bun.write(join(path, "package.json"), await moduleManifest(path));
  const config = join(path, `tsconfig.${moduleResolution}.json`);
  await Bun.write(config, JSON.stringify({ compilerOptions, files: [program] }));
  const command = [join(ROOT, "node_modules/.bin/tsc"), "--pretty", "false", "--listFiles", "-p", config];
  const lines = (await Bun.spawn(command, { cwd: path, stdout: "pipe" }).stdout.text()).split("\n");
  expect(lines.some((line) => line.endsWith("/dist/index.d.ts") && line.includes("hub"))).toBeTrue();
  // The declarations of others, as Elysia's, do not all hold up to such a check.
  return lines.filter(
    (line) => /error TS/.test(line) && (!line.includes("node_modules") || /[/+]@?sse[/+]/.test(line)),
  );
}

/** The manifest that a package manager has left, of a project of ES modules. */
const moduleManifest = async (path: string): Promise<string> =>
  JSON.stringify({ ...((await Bun.file(join(path, "package.json")).json()) as object), type: "module" });

const EXPRESS = ['{"total":2}', '{"total":3}', 404, "function", "function"];

describe.each([
  ["npm install", "npm"],
  ["pnpm add", PNPM],
  ["bun add", "bun"],
])("what `%s` has installed", (start, manager) => {
  const project = manager.split("@")[0]!.split(" ").at(-1)!;
  beforeAll(async () => {
    await emptyProject(project);
    // As the README says of a folder that is not empty. Without it Node takes the program for CommonJS.
    if (manager === "npm") await run(project, `npm init -y && ${/`(npm pkg set [^`]+)`/.exec(README)![1]}`);
    const line = commands.find((each) => each.startsWith(start))!;
    await run(project, manager === PNPM ? line.replace("pnpm", PNPM) : line);
    await addProgram(project, "express.ts");
  });

  test("serves events in an Express app on Node", async () => {
    expect(await runInNode("22.18.0", project, "express.ts")).toEqual(EXPRESS);
  });

  test("has types, for a strict project", async () => {
    await run(project, `${manager} ${start.split(" ")[1]} @types/express@5.0.6 @types/node@22.20.7`);
    for (const resolution of ["nodenext", "bundler"])
      expect(await typeErrors(project, "express.ts", resolution, ["node"])).toEqual([]);
  });
});

describe("what `deno add` has installed", () => {
  beforeAll(async () => {
    await emptyProject("deno");
    const line = commands.find((each) => each.includes("deno add"))!;
    const pack = `${join(ROOT, "packages/pack.ts")} --port 0 --out ${packed} --`;
    await run("deno", line.replace("../sse/packages/pack.ts", pack));
    await addProgram("deno", "express.ts");
  });

  test("serves events in an Express app on Deno", async () => {
    expect(JSON.parse(await run("deno", "deno run --allow-all express.ts"))).toEqual(EXPRESS);
  });

  test("has types", async () => {
    await run("deno", "deno check express.ts");
  });
});

describe("in Node", () => {
  beforeAll(async () => {
    await emptyProject("node");
    await run("node", "npm install --silent ../sse/dist/sse-{protocol,client,hub}.tgz");
  });

  test("the hub keeps events in a file, and what misses something says so", async () => {
    await addProgram("node", "node.mjs");
    expect(await runInNode("22.18.0", "node", "node.mjs")).toEqual([
      expect.stringMatching(/^event: paid\ndata: \{"total":99\}\nid: .+\n\n/m),
      "a log in Redis needs the package ioredis; install it beside @sse/hub",
      expect.stringContaining("@nats-io/"),
      "This part of @sse/hub needs Bun, 1.4.5 or later: run your program with bun.",
    ]);
  });

  test("the codec and the client run from version 20 on", async () => {
    await addProgram("node", "portable.mjs");
    expect(await runInNode("20.0.0", "node", "portable.mjs")).toEqual(["function", "hello", "subscribed"]);
  });
});

describe("in Bun", () => {
  const others = `elysia@${catalog.elysia} bun-types@${catalog["bun-types"]} zod@${hub.devDependencies.zod}`;
  beforeAll(async () => {
    await emptyProject("in-bun");
    await run("in-bun", `bun add ../sse/dist/*.tgz ${others}`);
    await addProgram("in-bun", "consumer.ts");
  });

  test("all of it runs, with Elysia, schemas and a file", async () => {
    const [types, refusal] = JSON.parse(await run("in-bun", "bun consumer.ts events.db")) as [
      string[],
      string,
    ];
    expect(types).toEqual(['sse:ready {"resume":"fresh","replayed":1}', 'message {"total":99}', "total 99"]);
    expect(refusal).toContain("data.total: ");
  });

  test.each(["nodenext", "bundler"])("it is type-checked with moduleResolution %s", async (resolution) => {
    expect(await typeErrors("in-bun", "consumer.ts", resolution, ["bun-types"])).toEqual([]);
  });

  test("only what is made for Node or Bun needs their types", async () => {
    await addProgram("in-bun", "web.ts");
    expect(await typeErrors("in-bun", "web.ts", "nodenext", [], "ES2022")).toEqual([]);
  });

  // Those of the client need a server of theirs.
  test.each(["protocol", "hub", "http", "elysia"])("what the readme of %s shows runs", async (name) => {
    const readme = await Bun.file(join(ROOT, "packages", name, "README.md")).text();
    const program = snippetsOf(readme, "ts")[0]!.replace("port: 3001", "port: 0");
    await Bun.write(join(folder, "in-bun", `${name}.ts`), `${program}\nprocess.exit(0);\n`);
    const out = await run("in-bun", `bun ${name}.ts`);
    if (name === "protocol") expect(out).toBe("paid 42 two\nlines\n");
    if (name === "hub") expect(out).toMatch(/^event: paid\ndata: \{"total":99\}\nid: .+\n\n/m);
  });
});
