import { expect, test } from "bun:test";
import type { Asset } from "./asset.ts";
import { buildPage } from "./build.ts";

const page = await buildPage();
const text = (asset: Asset | undefined) => new TextDecoder().decode(asset?.body);
const documents = ["/", "/benchmarks"];

test("the page is whole: everything it names is served", () => {
  for (const document of documents) {
    const named = [...text(page.get(document)).matchAll(/(?:src|srcset|href)="([^"#]+)[^"]*"/g)];
    const urls = named.map((match) => match[1]!);
    expect(urls.length).toBeGreaterThanOrEqual(3);
    expect(urls.filter((url) => !page.has(url))).toEqual([]);
  }

  const script = [...page].find(([path]) => /index-\w+\.js$/.test(path))![1];
  const loaded = [...text(script).matchAll(/"(\/assets\/([\w.]+)-\w+\.js)"/g)];
  const names = loaded.map(([, path, name]) => [name!, page.has(path!)] as const);
  // Of the lab, and what the client's tabs share by.
  expect(Object.fromEntries(names)).toEqual({ "storm.worker": true, member: true });
});

test("nothing comes from elsewhere, and nothing is inline", () => {
  for (const [path, asset] of page) {
    const urls = text(asset).match(/(?:https?:)?\/\/[\w.-]+\.\w+[^"'\s]*|data:\w+\/[\w+-]+[;,]/g) ?? [];
    // An XML namespace is a name: nothing is fetched from it.
    expect([path, urls.filter((url) => url !== "http://www.w3.org/2000/svg")]).toEqual([path, []]);
  }
  for (const document of documents)
    expect(text(page.get(document))).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/);
});

test("hashed files may be kept for ever, documents may not", () => {
  for (const [path, { immutable, type, body }] of page) {
    expect([path, immutable]).toEqual([path, !documents.includes(path)]);
    if (immutable) expect(path).toMatch(/^\/assets\/[\w.-]+-\w{8}\.(js|css|svg)$/);
    expect(type).toMatch(/^(text\/(html|javascript|css)|image\/svg\+xml)/);
    expect(body.length).toBeGreaterThan(100);
  }
});

test("the bench's report is there as it was written, with its charts for both colour schemes", async () => {
  const report = text(page.get("/benchmarks"));
  const markdown = await Bun.file(new URL("../../../docs/benchmarks.md", import.meta.url)).text();
  const count = (source: string, pattern: RegExp) => source.match(pattern)?.length ?? 0;
  expect(count(report, /<h2/g)).toBe(count(markdown, /^## /gm));
  expect(count(report, /<table/g)).toBe(count(markdown, /^\| *-/gm));
  expect(count(report, /<img/g)).toBe(count(markdown, /<img/g));
  expect(count(report, /-dark-\w{8}\.svg/g)).toBe(count(report, /-light-\w{8}\.svg/g));
  expect(report).not.toMatch(/(src|srcset|href)="[^/#]/);
});
