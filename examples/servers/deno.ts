import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(Deno.env.get("SSE_TOKENS") ?? "[]") });
const handler = createHandler({ hub, authorize });

Deno.serve({ port: Number(Deno.env.get("PORT") ?? 3000) }, handler);
