import { otherMethods, problem } from "@sse/elysia";
import { buildPage } from "@sse/web";
import { Elysia } from "elysia";

const HEADERS = {
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
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
      headers: { ...HEADERS, "content-type": asset.type, "cache-control": cache },
    });
  };
  return new Elysia({ name: "page" })
    .get("/", async () => {
      if (dev) assets = await buildPage({ minify: false });
      return serve("/");
    })
    .all("/", otherMethods("GET, HEAD, OPTIONS"))
    .get("/assets/*", ({ path }) => serve(path))
    .all("/assets/*", otherMethods("GET, HEAD, OPTIONS"));
}
