import { fileURLToPath } from "node:url";
import type { Asset } from "./asset.ts";
import { buildReport } from "./report.ts";

export interface BuildPageOptions {
  /** Default: true. Off leaves the scripts readable and adds no file. */
  readonly minify?: boolean;
}

const WORKER = sourcePath("storm.worker.ts");
const HTML = sourcePath("index.html");
const HASHED = "assets/[name]-[hash].[ext]";

/**
 * Bundles the page in memory and answers its files by URL path; `/` is the HTML, `/benchmarks` the report. Nothing in
 * them is inline and nothing comes from elsewhere, so that `default-src 'self'` is all the content security policy they
 * need.
 *
 * @throws {AggregateError} when a source does not bundle.
 */
export async function buildPage({ minify = true }: BuildPageOptions = {}): Promise<
  ReadonlyMap<string, Asset>
> {
  const shared = { target: "browser", minify, publicPath: "/" } as const;
  // The worker first: the page needs its hashed name.
  const worker = await Bun.build({ ...shared, entrypoints: [WORKER], naming: HASHED });
  const page = await Bun.build({
    ...shared,
    entrypoints: [HTML],
    splitting: true, // what tabs share by is a file of its own, loaded by who shares
    modulePreload: false, // it imports no other
    naming: { entry: "[name].[ext]", chunk: HASHED, asset: HASHED },
    define: { STORM_WORKER_URL: JSON.stringify(urlPath(worker.outputs[0]!.path)) },
  });

  const assets = new Map<string, Asset>();
  for (const output of [...worker.outputs, ...page.outputs]) {
    const isHtml = output.path.endsWith(".html");
    assets.set(isHtml ? "/" : urlPath(output.path), {
      body: new Uint8Array(await output.arrayBuffer()),
      type: output.type,
      immutable: !isHtml,
    });
  }
  const html = new TextDecoder().decode(assets.get("/")!.body);
  for (const [path, asset] of await buildReport(html)) assets.set(path, asset);
  return assets;
}

function sourcePath(name: string): string {
  return fileURLToPath(new URL(`page/${name}`, import.meta.url));
}

/** `./assets/x.js` as Bun names an output, `/assets/x.js` as a browser asks for it. */
function urlPath(output: string): string {
  return output.replace(/^\.?\/?/, "/");
}
