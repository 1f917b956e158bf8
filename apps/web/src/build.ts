import { fileURLToPath } from "node:url";

/** One file of the page. `immutable` ones carry a hash in their name and may be cached for ever. */
export interface Asset {
  readonly body: Uint8Array;
  /** The `content-type`. */
  readonly type: string;
  readonly immutable: boolean;
}

export interface BuildPageOptions {
  /** Default: true. Off leaves the scripts readable and adds no file. */
  readonly minify?: boolean;
}

const WORKER = sourcePath("feeds.worker.ts");
const HTML = sourcePath("index.html");
const HASHED = "assets/[name]-[hash].[ext]";

/**
 * Bundles the page in memory and answers its files by URL path; `/` is the HTML. Nothing in them is inline and nothing
 * comes from elsewhere, so that `default-src 'self'` is all the content security policy they need.
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
    naming: { entry: "[name].[ext]", chunk: HASHED, asset: HASHED },
    // Or the bundler looks for the import of that name on the disk.
    external: ["/assets/*"],
    define: { FEEDS_WORKER_URL: JSON.stringify(urlPath(worker.outputs[0]!.path)) },
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
  return assets;
}

function sourcePath(name: string): string {
  return fileURLToPath(new URL(`page/${name}`, import.meta.url));
}

/** `./assets/x.js` as Bun names an output, `/assets/x.js` as a browser asks for it. */
function urlPath(output: string): string {
  return output.replace(/^\.?\/?/, "/");
}
