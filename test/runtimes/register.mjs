import { registerHooks } from "node:module";

/* Loaded by Node before a file of tests. Deno has it from an import map. */
const url = new URL("./bun-test.ts", import.meta.url).href;
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "bun:test" ? { url, shortCircuit: true } : next(specifier, context),
});
