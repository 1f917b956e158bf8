import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub } from "@sse/hub";
import Fastify from "fastify";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const listener = toNodeListener(createHandler({ hub, authorize, basePath: "/sse" }));

const app = Fastify();
app.addHook("onRequest", (request, reply, next) => listener(request.raw, reply.raw, next));

await app.listen({ port: Number(process.env.PORT ?? 3000) });
