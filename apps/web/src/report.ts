import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Asset } from "./asset.ts";
import { documentPage } from "./document-page.ts";

/** Where the bench writes what it measured: the report, its charts, and the raw results that both are made of. */
const DOCS = fileURLToPath(new URL("../../../docs", import.meta.url));

/**
 * The bench's report as a page of its own, with the head of the page and the charts as files.
 *
 * @param page the page's HTML, whose style sheet and navigation it shares
 */
export async function buildReport(page: string): Promise<ReadonlyMap<string, Asset>> {
  const assets = new Map<string, Asset>();
  let markdown = await Bun.file(join(DOCS, "benchmarks.md")).text();
  for (const [path] of markdown.matchAll(/benchmarks\/[\w-]+\.svg/g)) {
    const chart = new Uint8Array(await Bun.file(join(DOCS, path)).arrayBuffer());
    const hash = Bun.hash(chart).toString(36).slice(0, 8).padStart(8, "0");
    const url = `/assets/${path.slice("benchmarks/".length, -".svg".length)}-${hash}.svg`;
    assets.set(url, { body: chart, type: "image/svg+xml", immutable: true });
    markdown = markdown.replaceAll(path, url);
  }
  const html = documentPage(page, "/benchmarks", "Benchmarks", markdown)
    // The raw results are files of the repository; the page has none of them.
    .replace(/<a href="benchmarks\/results">([^<]*)<\/a>/g, "<code>docs/$1</code>");
  assets.set("/benchmarks", {
    body: new TextEncoder().encode(html),
    type: "text/html;charset=utf-8",
    immutable: false,
  });
  return assets;
}
