import { otherMethods } from "@sse/elysia";
import { buildPage } from "@sse/web";
import { Elysia } from "elysia";

const HEADERS = {
  "content-security-policy":
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** The page and what belongs to it, bundled once at the start. */
export async function pageRoutes() {
  const app = new Elysia({ name: "page" });
  for (const [path, { body, type, immutable }] of await buildPage()) {
    const headers = {
      ...HEADERS,
      "content-type": type,
      "cache-control": immutable ? "public, max-age=31536000, immutable" : "no-cache",
    };
    app.get(path, () => new Response(body, { headers })).all(path, otherMethods("GET, HEAD, OPTIONS"));
  }
  return app;
}
