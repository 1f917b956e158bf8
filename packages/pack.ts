import { cp, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { $ } from "bun";
import root from "../package.json" with { type: "json" };

/*
 * Makes of each package what goes to a registry: JavaScript and declarations, and a manifest that names them. In the
 * workspace packages are their sources, with nothing to build; their manifests are private, so that those cannot be
 * published in place of this.
 */

/** In the order in which they build on each other. */
export const PACKED = ["protocol", "client", "hub", "http", "elysia"] as const;

interface Manifest {
  name: string;
  version: string;
  private?: boolean;
  scripts?: object;
  devDependencies?: object;
  dependencies?: Record<string, string>;
  /** A path; or, when only Bun can run it, that path under `bun`. */
  exports: Record<string, string | { types: string; bun: string }>;
}

const HERE = import.meta.dir;
const BUN_ONLY = ".bun-only.js";
const built = (source: string, extension: string): string =>
  source.replace(/^\.\/src\//, "./dist/").replace(/\.ts$/, extension);

/**
 * Packs all packages.
 *
 * @param folder where to; what is in it is replaced
 * @returns the tarballs, by the names of their packages
 */
export async function packAll(folder: string): Promise<Record<string, string>> {
  await rm(folder, { recursive: true, force: true });
  const packed = await Promise.all(PACKED.map((name) => pack(name, join(folder, name))));
  return Object.fromEntries(packed);
}

async function pack(name: string, stage: string): Promise<[name: string, tarball: string]> {
  const source = join(HERE, name);
  const manifest = (await Bun.file(join(source, "package.json")).json()) as Manifest;
  await compile(source, stage);
  for (const file of ["README.md", "../../LICENSE"])
    await cp(join(source, file), join(stage, file.split("/").at(-1)!));
  for (const entry of Object.values(manifest.exports)) {
    if (typeof entry === "string") continue;
    const names = Object.keys((await import(join(source, entry.bun))) as object);
    await Bun.write(join(stage, built(entry.bun, BUN_ONLY)), bunOnly(manifest.name, names));
  }
  await Bun.write(join(stage, "package.json"), JSON.stringify(published(manifest), null, 2));
  await $`bun pm pack --quiet --destination ${stage}`.cwd(stage).quiet();
  const tarball = (await readdir(stage)).find((file) => file.endsWith(".tgz"));
  const place = join(stage, "..", `sse-${name}.tgz`);
  await rename(join(stage, tarball!), place);
  return [manifest.name, place];
}

async function compile(source: string, stage: string): Promise<void> {
  await mkdir(stage, { recursive: true });
  const config = join(stage, "tsconfig.json");
  const portable = join(source, "tsconfig.portable.json"); // of those which know nothing of Bun
  const compilerOptions = {
    noEmit: false,
    declaration: true,
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
  // The compiler leaves the extensions in declarations as they are.
  for (const file of await readdir(join(stage, "dist"), { recursive: true })) {
    if (!file.endsWith(".d.ts")) continue;
    const path = join(stage, "dist", file);
    const text = await Bun.file(path).text();
    await Bun.write(path, text.replace(/((?:from |import\()"\.[^"]*)\.ts"/g, '$1.js"'));
  }
}

function published(manifest: Manifest): object {
  const {
    private: _,
    scripts: _s,
    devDependencies: _d,
    exports: sources,
    dependencies = {},
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
  for (const [name, range] of Object.entries(dependencies)) {
    if (range === "workspace:*")
      dependencies[name] = `^${manifest.version}`; // all have the same version
    else if (range === "catalog:") dependencies[name] = catalog[name]!;
  }
  return { ...rest, exports, files: ["dist"], dependencies };
}

/** What others than Bun are given in place of what only Bun can run. Without the names a program would not even be linked. */
function bunOnly(name: string, exports: readonly string[]): string {
  const message = `This part of ${name} needs Bun, 1.4.5 or later: run your program with bun.`;
  return `export let ${exports.join(", ")};\nthrow new Error(${JSON.stringify(message)});\n`;
}

if (import.meta.main) {
  const folder = join(HERE, "../dist");
  for (const tarball of Object.values(await packAll(folder))) console.log(tarball);
}
