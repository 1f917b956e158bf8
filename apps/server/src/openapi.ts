import { openapi } from "@elysiajs/openapi";
import { json, OTHER_METHODS } from "@sse/elysia";
import { NOSNIFF, otherMethods } from "@sse/http";
import { buildReference, type OpenapiDocument } from "@sse/web/reference";
import { type AnyElysia, Elysia } from "elysia";
import about from "../package.json" with { type: "json" };
import { isAuthenticated } from "./config.ts";
import { PAGE_HEADERS } from "./page.ts";
import type { Config } from "./settings.ts";

const DESCRIPTION = `Server-Sent Events: publish over HTTP, read with an EventSource, resume without a hole.

Whatever is wrong with a request is answered as \`application/problem+json\` (RFC 9457), with a detail that says what to mend:
also another method (405, with \`Allow\`), a path that is none (404), and a \`Host\` that is no name of this machine (421).`;

/** `GET /openapi/json` */
const JSON_DOCUMENT = {
  operationId: "openapiJson",
  summary: "This document",
  security: [],
  responses: { 200: json("OpenAPI 3.1.", { openapi: { type: "string" }, info: { type: "object" } }) },
};

/** `GET /openapi` */
const OPENAPI = {
  ...JSON_DOCUMENT,
  operationId: "openapi",
  summary: "This document; a page where `Accept` names HTML, as a browser's does",
  responses: {
    200: { description: "OpenAPI 3.1, or a page.", content: { "application/json": {}, "text/html": {} } },
  },
};

/**
 * What each route of the app says of itself: `GET /openapi/json`, and `GET /openapi` to read. To everybody, with
 * authentication too: it has nothing in it that the documentation has not, but which ways to authenticate there are.
 *
 * @param app what else there is
 */
export function openapiRoutes(app: AnyElysia, config: Config) {
  const read = otherMethods("GET, HEAD, OPTIONS");
  /** What the app itself answers. */
  const answer = async (path: string): Promise<string> => {
    const response = await app.handle(new Request(`http://localhost${path}`));
    return await response.text();
  };
  const documentation = {
    info: {
      title: "SSE",
      version: about.version,
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    // The plugin leaves its own route out.
    paths: { "/openapi/json": { get: JSON_DOCUMENT } },
    ...authentication(config),
  };
  return new Elysia({ name: "openapi" })
    .onBeforeHandle(({ set }) => void Object.assign(set.headers, NOSNIFF)) // the plugin's answer is its own
    .use(openapi({ provider: null, documentation }))
    .all("/openapi/json", read, OTHER_METHODS)
    .get(
      "/openapi",
      async ({ request }) => {
        const document = await answer("/openapi/json");
        const headers = { ...NOSNIFF, vary: "accept" };
        if (!request.headers.get("accept")?.includes("text/html"))
          return new Response(document, { headers: { ...headers, "content-type": "application/json" } });
        const html = buildReference(await answer("/"), "/openapi", JSON.parse(document) as OpenapiDocument);
        return new Response(html, {
          headers: { ...PAGE_HEADERS, ...headers, "content-type": "text/html;charset=utf-8" },
        });
      },
      { detail: OPENAPI },
    )
    .all("/openapi", read, OTHER_METHODS);
}

/** How to authenticate here; nothing where nobody has to. */
function authentication(config: Config): object {
  if (!isAuthenticated(config)) return {};
  const { authCookie, anonymousSubscribe } = config;
  const cookie =
    authCookie === undefined ? {} : { cookie: { type: "apiKey", in: "cookie", name: authCookie } };
  const schemes: Record<string, object> = { bearer: { type: "http", scheme: "bearer" }, ...cookie };
  const security: object[] = Object.keys(schemes).map((name) => ({ [name]: [] }));
  if (anonymousSubscribe.length > 0) security.push({}); // for some topics
  return { security, components: { securitySchemes: schemes } };
}
