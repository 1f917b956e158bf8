import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Asset } from "./build.ts";

/** Where the bench writes what it measured: the report, its charts, and the raw results that both are made of. */
const DOCS = fileURLToPath(new URL("../../../docs", import.meta.url));

/**
 * The bench's report as a page of its own, with the head of the page and the charts as files.
 *
 * @param page the page's HTML, whose style sheet and navigation it shares
 */
export async function buildReport(page: string): Promise<ReadonlyMap<string, Asset>> {
  const assets = new Map<string, Asset>();
  const markdown = await Bun.file(join(DOCS, "benchmarks.md")).text();
  let body = Bun.markdown.html(markdown, { tables: true, headings: { ids: true } });
  for (const [path] of body.matchAll(/benchmarks\/[\w-]+\.svg/g)) {
    const chart = new Uint8Array(await Bun.file(join(DOCS, path)).arrayBuffer());
    const hash = Bun.hash(chart).toString(36).slice(0, 8).padStart(8, "0");
    const url = `/assets/${path.slice("benchmarks/".length, -".svg".length)}-${hash}.svg`;
    assets.set(url, { body: chart, type: "image/svg+xml", immutable: true });
    body = body.replaceAll(path, url);
  }
  body = body
    // The raw results are files of the repository; the page has none of them.
    .replace(/<a href="benchmarks\/results">([^<]*)<\/a>/g, "<code>docs/$1</code>")
    .replaceAll("<table>", '<div class="table-frame" role="group" aria-label="Results" tabindex="0"><table>')
    .replaceAll("</table>", "</table></div>");
  const html = page
    .replace(/<script[^>]*><\/script>/, "")
    .replace(/<title>[^<]*/, "<title>Benchmarks · Server-Sent Events")
    .replace(/<div class="summary">[\s\S]*?<\/div>/, "")
    .replace(/<h1>([^<]*)<\/h1>/, '<p class="brand">$1</p>')
    .replace(/href="#(\w+)"/g, 'href="/#$1"')
    .replace('<a href="/benchmarks"', '<a href="/benchmarks" aria-current="page"')
    .replace(/<noscript[\s\S]*<\/main>[\s\S]*<\/template>/, () => `<main class="report">${body}</main>`);
  assets.set("/benchmarks", {
    body: new TextEncoder().encode(html),
    type: "text/html;charset=utf-8",
    immutable: false,
  });
  return assets;
}
