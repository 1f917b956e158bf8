import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { $, Glob } from "bun";
import root from "../package.json" with { type: "json" };
import { serveRegistry } from "./registry.ts";

/*
 * Makes of each package what goes to a registry: JavaScript and declarations, and a manifest that names them. In the
 * workspace packages are their sources, with nothing to build; their manifests are private, so that those cannot be
 * published in place of this.
 */

export interface Manifest {
  name: string;
  version: string;
  private?: boolean;
  scripts?: object;
  devDependencies?: object;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  /** Of those that are for others than this workspace. */
  publishConfig?: object;
  /** A path; or, when only Bun can run it, that path under `bun`. */
  exports: Record<string, string | { types: string; bun: string }>;
}

const HERE = import.meta.dir;
const BUN_ONLY = ".bun-only.js";
const built = (source: string, extension: string): string =>
  source.replace(/^\.\/src\//, "./dist/").replace(/\.ts$/, extension);

const readManifest = async (folder: string): Promise<Manifest> =>
  (await Bun.file(join(folder, "package.json")).json()) as Manifest;

async function foldersToPack(): Promise<string[]> {
  const names: string[] = [];
  for await (const file of new Glob("*/package.json").scan(HERE)) {
    const name = dirname(file);
    if ((await readManifest(join(HERE, name))).publishConfig !== undefined) names.push(name);
  }
  return names.toSorted();
}

/** The folders of the packages that are for others: those with a `publishConfig`. */
export const PACKED: readonly string[] = await foldersToPack();

/**
 * Packs all packages.
 *
 * @param out where the tarballs go; whatever else is there is left alone
 * @returns the tarballs, by the names of their packages
 */
export async function packAll(out: string): Promise<Record<string, string>> {
  await mkdir(out, { recursive: true });
  const stage = await mkdtemp(join(tmpdir(), "sse-pack-"));
  const packed = await Promise.all(PACKED.map((name) => pack(name, join(stage, name), out)));
  await rm(stage, { recursive: true });
  return Object.fromEntries(packed);
}

async function pack(name: string, stage: string, out: string): Promise<[name: string, tarball: string]> {
  const source = join(HERE, name);
  const manifest = await readManifest(source);
  await compile(source, stage);
  for (const file of ["README.md", "../../LICENSE"])
    await cp(join(source, file), join(stage, basename(file)));
  for (const entry of Object.values(manifest.exports)) {
    if (typeof entry === "string") continue;
    const names = Object.keys((await import(join(source, entry.bun))) as object);
    await Bun.write(join(stage, built(entry.bun, BUN_ONLY)), bunOnly(manifest.name, names));
  }
  await Bun.write(join(stage, "package.json"), JSON.stringify(published(manifest), null, 2));
  await $`bun pm pack --quiet --destination ${stage}`.cwd(stage).quiet();
  const tarball = (await readdir(stage)).find((file) => file.endsWith(".tgz"));
  const place = join(out, `sse-${name}.tgz`);
  await cp(join(stage, tarball!), place);
  return [manifest.name, place];
}

async function compile(source: string, stage: string): Promise<void> {
  await mkdir(stage, { recursive: true });
  const config = join(stage, "tsconfig.json");
  const portable = join(source, "tsconfig.portable.json"); // of those which know nothing of Bun
  const compilerOptions = {
    noEmit: false,
    declaration: true,
    sourceMap: true,
    inlineSources: true, // the sources are not beside it
    module: "NodeNext",
    moduleResolution: "NodeNext",
    target: "ES2024",
    allowImportingTsExtensions: false,
    rewriteRelativeImportExtensions: true,
    rootDir: join(source, "src"),
    outDir: join(stage, "dist"),
    typeRoots: [join(source, "node_modules")],
  };
  await Bun.write(
    config,
    JSON.stringify({
      extends: join(source, (await Bun.file(portable).exists()) ? "tsconfig.portable.json" : "tsconfig.json"),
      compilerOptions,
      include: [join(source, "src")],
      exclude: [join(source, "src/**/*.test.ts")],
    }),
  );
  await $`${join(HERE, "../node_modules/.bin/tsc")} -p ${config}`
    .quiet()
    .catch((error: { stdout: Buffer }) => {
      throw new Error(`${source} does not build:\n${error.stdout.toString()}`);
    });
  await rm(config);
  // The compiler names sources by where they are on this machine.
  for await (const file of new Glob("**/*.js.map").scan(join(stage, "dist"))) {
    const path = join(stage, "dist", file);
    const map = (await Bun.file(path).json()) as object;
    const original = join("src", file.replace(/\.js\.map$/, ".ts"));
    const sources = [relative(dirname(join("dist", file)), original)];
    await Bun.write(path, JSON.stringify({ ...map, sources }));
  }
}

function published(manifest: Manifest): object {
  const {
    private: _,
    scripts: _s,
    devDependencies: _d,
    exports: sources,
    dependencies = {},
    peerDependencies = {},
    ...rest
  } = manifest;
  const exports: Record<string, object> = {};
  for (const [path, source] of Object.entries(sources)) {
    if (path.startsWith("./test/")) continue;
    const bun = typeof source === "string" ? null : source.bun;
    const types = built(typeof source === "string" ? source : source.types, ".d.ts");
    exports[path] =
      bun === null
        ? { types, default: built(source as string, ".js") }
        : { types, bun: built(bun, ".js"), default: built(bun, BUN_ONLY) };
  }
  const catalog: Record<string, string> = root.workspaces.catalog;
  const peers = { ...peerDependencies };
  const others: Record<string, string> = {};
  for (const [name, range] of Object.entries(dependencies)) {
    // All have the same version. As peers, an app and what it uses share one hub; and package managers that are given the
    // tarballs of all do not look for them in a registry.
    if (range === "workspace:*") peers[name] = `^${manifest.version}`;
    else others[name] = range === "catalog:" ? catalog[name]! : range;
  }
  return { ...rest, exports, files: ["dist"], dependencies: others, peerDependencies: peers };
}

/** What others than Bun are given in place of what only Bun can run. Without the names a program would not even be linked. */
function bunOnly(name: string, exports: readonly string[]): string {
  const message = `This part of ${name} needs Bun, 1.4.5 or later: run your program with bun.`;
  return `export let ${exports.join(", ")};\nthrow new Error(${JSON.stringify(message)});\n`;
}

if (import.meta.main) {
  const { values, positionals: command } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: "string", default: join(HERE, "../dist") },
      port: { type: "string", default: "4873" },
    },
  });
  const tarballs = await packAll(resolve(values.out));
  if (command.length === 0) for (const tarball of Object.values(tarballs)) console.log(tarball);
  else process.exitCode = await runBesideRegistry(command, tarballs, Number(values.port));
}

/** For package managers that take no tarballs, as Deno's: runs one in the current folder, with a registry that has them. */
async function runBesideRegistry(
  command: string[],
  tarballs: Readonly<Record<string, string>>,
  port: number,
): Promise<number> {
  const registry = await serveRegistry(tarballs, port);
  const settings = Bun.file(".npmrc");
  const lines = (await settings.exists()) ? (await settings.text()).trimEnd().split("\n") : [];
  const others = lines.filter((line) => !line.startsWith("@sse:registry="));
  await settings.write([...others, `@sse:registry=${registry.url}`, ""].join("\n"));
  const status = await Bun.spawn(command, { stdio: ["inherit", "inherit", "inherit"] }).exited;
  await registry.stop();
  return status;
}
