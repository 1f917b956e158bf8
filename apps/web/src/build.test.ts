import { expect, test } from "bun:test";
import { type Asset, buildPage } from "./build.ts";

const page = await buildPage();
const text = (asset: Asset | undefined) => new TextDecoder().decode(asset?.body);
const html = text(page.get("/"));

test("the page is whole: everything it names is served", () => {
  const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
  expect(named.length).toBeGreaterThanOrEqual(3);
  for (const url of named) expect(page.has(url)).toBe(true);

  const script = [...page].find(([path]) => /index-\w+\.js$/.test(path))![1];
  const workers = [...text(script).matchAll(/"(\/assets\/feeds\.worker-\w+\.js)"/g)].map(
    (match) => match[1]!,
  );
  expect(workers).toHaveLength(2);
  for (const url of workers) expect(page.has(url)).toBe(true);
});

test("nothing comes from elsewhere, and nothing is inline", () => {
  for (const [path, asset] of page) {
    const urls = text(asset).match(/(?:https?:)?\/\/[\w.-]+\.\w+[^"'\s]*|data:[\w/+-]+[;,]/g) ?? [];
    // An XML namespace is a name: nothing is fetched from it.
    expect([path, urls.filter((url) => url !== "http://www.w3.org/2000/svg")]).toEqual([path, []]);
  }
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/);
});

test("hashed files may be kept for ever, the HTML may not", () => {
  for (const [path, { immutable, type, body }] of page) {
    expect([path, immutable]).toEqual([path, path !== "/"]);
    if (immutable) expect(path).toMatch(/^\/assets\/[\w.]+-\w{8}\.(js|css|svg)$/);
    expect(type).toMatch(/^(text\/(html|javascript|css)|image\/svg\+xml)/);
    expect(body.length).toBeGreaterThan(100);
  }
});

test("the fallback imports the very module that the worker runs", () => {
  const worker = [...page].find(([path]) => path.includes("feeds.worker"))![1];
  expect(text(worker)).toMatch(/export\s*\{\s*\w+ as accept\s*\}/);
});

test("the hooks that tests and styles select by are there", () => {
  for (const name of ["random", "clock", "ticker", "status", "board", "job"])
    expect(html).toContain(`data-feed="${name}"`);
  for (const id of ["message", "send", "start-job"]) expect(html).toContain(`id="${id}"`);
});
