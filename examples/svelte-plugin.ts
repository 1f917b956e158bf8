import type { BunPlugin } from "bun";
import { compile, compileModule } from "svelte/compiler";

/** Lets Bun bundle Svelte's components, and modules with runes. */
const sveltePlugin: BunPlugin = {
  name: "svelte",
  setup(build) {
    build.onLoad({ filter: /\.svelte(\.ts)?$/ }, async ({ path: filename }) => {
      const source = await Bun.file(filename).text();
      const options = { filename, generate: "client" } as const;
      const { js } = filename.endsWith(".ts")
        ? compileModule(new Bun.Transpiler({ loader: "ts" }).transformSync(source), options)
        : compile(source, { ...options, css: "injected" });
      return { contents: js.code, loader: "js" };
    });
  },
};
export default sveltePlugin;
