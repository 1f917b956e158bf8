import { OTHER_METHODS, problems } from "@sse/elysia";
import { NOSNIFF, otherMethods, problem } from "@sse/http";
import { buildPage } from "@sse/web";
import { type DocumentDecoration, Elysia } from "elysia";

/** Of all documents: nothing in them is inline, and nothing comes from elsewhere. */
export const PAGE_HEADERS = {
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  ...NOSNIFF,
};

const PAGE: DocumentDecoration = {
  operationId: "page",
  summary: "The page",
  security: [],
  responses: { 200: { description: "The page.", content: { "text/html": {} } } },
};

const BENCHMARKS: DocumentDecoration = {
  operationId: "benchmarks",
  summary: "What the server costs beside others, as a page",
  security: [],
  responses: { 200: { description: "The page.", content: { "text/html": {} } } },
};

const ASSETS: DocumentDecoration = {
  operationId: "assets",
  summary: "What belongs to the page",
  security: [],
  responses: { 200: { description: "A file of the page." }, ...problems(404) },
};

/**
 * The page and what belongs to it, bundled at the start.
 *
 * @param dev bundle it anew at each visit
 */
export async function pageRoutes(dev: boolean) {
  let assets = await buildPage();
  const serve = (path: string): Response => {
    const asset = assets.get(path);
    if (asset === undefined) return problem(404, `there is nothing at ${path}`);
    const cache = asset.immutable ? "public, max-age=31536000, immutable" : "no-cache";
    return new Response(asset.body, {
      headers: { ...PAGE_HEADERS, "content-type": asset.type, "cache-control": cache },
    });
  };
  return new Elysia({ name: "page" })
    .get(
      "/",
      async () => {
        if (dev) assets = await buildPage({ minify: false });
        return serve("/");
      },
      { detail: PAGE },
    )
    .all("/", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS)
    .get("/benchmarks", ({ path }) => serve(path), { detail: BENCHMARKS })
    .all("/benchmarks", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS)
    .get("/assets/:file", ({ path }) => serve(path), { detail: ASSETS })
    .all("/assets/:file", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS);
}
