import { sse } from "@sse/elysia";
import { createAuthorize, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";
import { Elysia } from "elysia";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });

new Elysia().use(sse({ hub, authorize })).listen(process.env.PORT ?? 3000);
