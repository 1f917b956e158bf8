import { expect, test } from "bun:test";
import { dirname, join, relative } from "node:path";
import { Glob } from "bun";

/* The shape of the house: imports run one way, between packages by name only, and `index.ts` only exports. */

const ROOT = join(import.meta.dir, "..");
const PACKAGES = [
  "packages/protocol",
  "packages/client",
  "packages/hub",
  "packages/http",
  "packages/elysia",
  "apps/web",
  "apps/server",
  "bench",
  "examples",
  "examples/servers",
];

/** What each package may import of the others. Tests and `e2e` may use more, by their devDependencies. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "@sse/protocol": [],
  "@sse/client": ["@sse/protocol"],
  "@sse/hub": ["@sse/protocol"],
  "@sse/http": ["@sse/protocol", "@sse/hub"],
  "@sse/elysia": ["@sse/hub", "@sse/http"],
  "@sse/web": ["@sse/protocol", "@sse/client"],
  "@sse/server": ["@sse/protocol", "@sse/hub", "@sse/http", "@sse/elysia", "@sse/web", "@sse/client"],
  "@sse/bench": ["@sse/http", "@sse/hub", "@sse/protocol"],
  "@sse/examples": ["@sse/client"],
  "@sse/example-servers": ["@sse/client", "@sse/hub", "@sse/http", "@sse/elysia"],
};

const IMPORT = /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)/g;

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

async function sources(folder: string): Promise<Source[]> {
  const found: Source[] = [];
  for await (const path of new Glob("**/*.ts").scan(join(ROOT, folder))) {
    if (/node_modules|\bdist\b/.test(path)) continue;
    if (PACKAGES.some((each) => each.startsWith(`${folder}/`) && join(folder, path).startsWith(`${each}/`)))
      continue;
    const text = await Bun.file(join(ROOT, folder, path)).text();
    found.push({
      path: join(folder, path),
      text,
      imports: [...text.matchAll(IMPORT)].map(([, a, b]) => (a ?? b)!),
    });
  }
  return found;
}

test.each(PACKAGES)("%s imports in the right direction", async (folder) => {
  const { name, dependencies = {} } = (await Bun.file(join(ROOT, folder, "package.json")).json()) as {
    name: string;
    dependencies?: Record<string, string>;
  };
  const allowed = MAY_IMPORT[name]!;
  expect(
    Object.keys(dependencies).filter(
      (dependency) => dependency.startsWith("@sse/") && !allowed.includes(dependency),
    ),
  ).toEqual([]);
  // A test may use its own package as a stranger does.
  const mayImport = (target: string, path: string): boolean =>
    allowed.includes(target) || (target === name && path.includes("/test/"));
  const files = await sources(folder);
  expect(files.length).toBeGreaterThan(0);
  for (const { path, imports } of files) {
    for (const target of imports) {
      const within = target.startsWith(".")
        ? !relative(join(ROOT, folder), join(ROOT, dirname(path), target)).startsWith("..")
        : !target.startsWith("@sse/") || mayImport(target.split("/", 2).join("/"), path);
      expect(within ? "" : `${path} imports ${target}`).toBe("");
    }
  }
});

test.each(PACKAGES)("no file of %s imports itself by way of others, not even for a type", async (folder) => {
  // In the simulator, clients, connections and nodes know each other, as they do in the world.
  const own = (await sources(folder)).filter(({ path }) => !path.startsWith("packages/hub/simulator/"));
  const files = new Map(
    own.map(({ path, imports }) => [
      path,
      imports.filter((target) => target.startsWith(".")).map((target) => join(dirname(path), target)),
    ]),
  );
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]): void => {
    expect(way.includes(path) ? [...way, path].join(" -> ") : "").toBe("");
    if (done.has(path)) return;
    for (const target of files.get(path) ?? []) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of files.keys()) visit(path, []);
  expect(done.size).toBeGreaterThan(3);
});

test("the codec needs nothing but the language and the web's own streams", async () => {
  for (const { path, imports } of await sources("packages/protocol/src")) {
    if (path.endsWith(".test.ts")) continue;
    expect(imports.filter((target) => !target.startsWith("./"))).toEqual([]);
  }
});

test("a log that needs a database or a client is loaded only by who asks for it", async () => {
  const files = new Map((await sources("packages/hub/src")).map((source) => [source.path, source]));
  const loaded = new Set<string>();
  const load = (path: string): void => {
    if (loaded.has(path)) return;
    loaded.add(path);
    for (const target of files.get(path)!.imports) {
      if (target === "@standard-schema/spec") continue; // types, which are gone when it runs
      if (target.startsWith(".")) load(join(dirname(path), target));
      else expect(`${path} imports ${target}`).toBe(`${path} imports @sse/protocol`);
    }
  };
  load("packages/hub/src/index.ts");
  expect(loaded.size).toBeGreaterThan(20);
});

test("a log knows nothing of who publishes, and of who reads", async () => {
  const MAY_IMPORT_IN_HUB = /^packages\/hub\/src\/(?:(?:log|topics)\/|(?:clock|control-events|errors)\.ts$)/;
  for (const { path, imports } of await sources("packages/hub/src/log")) {
    if (path.endsWith(".test.ts")) continue;
    const own = imports
      .filter((target) => target.startsWith("."))
      .map((target) => join(dirname(path), target));
    expect(
      own.filter((target) => !MAY_IMPORT_IN_HUB.test(target)).map((target) => `${path} imports ${target}`),
    ).toEqual([]);
  }
});

test("index.ts files only export", async () => {
  for (const folder of PACKAGES) {
    for (const { path, text } of await sources(folder)) {
      if (!path.endsWith("/index.ts")) continue;
      const rest = text
        .replace(/export (type )?\{[^}]*\} from "[^"]+";/g, "")
        .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
      expect(rest.trim()).toBe("");
    }
  }
});
