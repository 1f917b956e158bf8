import { join } from "node:path";
import type { BunPlugin } from "bun";
import { buildPage } from "@sse/web";

/* The server as a single executable, `bun run build`: with the page, and without anything beside it. */

const ROOT = join(import.meta.dir, "../..");

// Before the executable: a build within a build waits for itself.
const assets = [...(await buildPage())].map(
  ([path, { body, type, immutable }]) =>
    `[${JSON.stringify(path)}, { body: Uint8Array.fromBase64("${body.toBase64()}"), type: ${JSON.stringify(type)}, immutable: ${immutable} }]`,
);

/** Puts the page in the place of the module that bundles it: an executable has no sources to do that with. */
const embedPage: BunPlugin = {
  name: "embed-page",
  setup(build) {
    build.onLoad({ filter: /apps\/web\/src\/build\.ts$/ }, () => ({
      loader: "js",
      contents: `const assets = new Map([${assets.join(",\n")}]);\nexport const buildPage = async () => assets;\n`,
    }));
  },
};

const outfile = process.argv[2] ?? join(ROOT, "dist/sse");
await Bun.build({
  entrypoints: [join(import.meta.dir, "src/main.ts")],
  // What lies where it is started is not for it, but for what else is there.
  compile: { outfile, autoloadBunfig: false, autoloadTsconfig: false, autoloadPackageJson: false },
  plugins: [embedPage],
});
process.stdout.write(`${outfile}\n`);
