import { serve } from "@hono/node-server";
import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";
import { Hono } from "hono";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const handler = createHandler({ hub, authorize, basePath: "/sse" });

const app = new Hono();
app.all("/sse/*", (c) => handler(c.req.raw, c.env));

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) });
