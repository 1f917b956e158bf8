import { json, otherMethods, OTHER_METHODS } from "@sse/elysia";
import { Elysia, type AnyElysia, type DocumentDecoration } from "elysia";
import about from "../package.json" with { type: "json" };
import { isAuthenticated } from "./auth-settings.ts";
import type { Config } from "./config.ts";

const DESCRIPTION = `Server-Sent Events: publish over HTTP, read with an EventSource, resume without a hole.

Whatever is wrong with a request is answered as \`application/problem+json\` (RFC 9457), with a detail that says what to mend:
also another method (405, with \`Allow\`), a path that is none (404), and a \`Host\` that is no name of this machine (421).`;

/** `GET /openapi` */
const OPENAPI: DocumentDecoration = {
  operationId: "openapi",
  summary: "This document",
  security: [],
  responses: { 200: json("OpenAPI 3.1.", { openapi: { type: "string" }, info: { type: "object" } }) },
};

/**
 * `GET /openapi`: what each route of the app says of itself. To everybody, with authentication too: it has nothing in it
 * that the documentation has not, but which ways to authenticate there are.
 *
 * @param app complete: what it is given later is not in the document
 */
export function openapiRoutes(app: AnyElysia, config: Config) {
  let body = "";
  const routes = new Elysia({ name: "openapi" })
    .get("/openapi", () => new Response(body, { headers: { "content-type": "application/json" } }), {
      detail: OPENAPI,
    })
    .all("/openapi", otherMethods("GET, HEAD, OPTIONS"), OTHER_METHODS);
  body = JSON.stringify(openapiDocument([...app.routes, ...routes.routes], config));
  return routes;
}

function openapiDocument(routes: AnyElysia["routes"], config: Config): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, hooks } of routes) {
    const { detail } = hooks as { detail?: DocumentDecoration };
    if (detail?.responses === undefined) continue; // answers to other methods
    (paths[path.replace("*", "{path}")] ??= {})[method.toLowerCase()] = detail;
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "SSE",
      version: about.version,
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    ...authentication(config),
    paths,
  };
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
