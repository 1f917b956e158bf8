import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";

const authorize = createAuthorize({ tokens: readTokens(Deno.env.get("SSE_TOKENS") ?? "[]") });
const handler = createHandler({ hub: createHub(), authorize });

Deno.serve({ port: Number(Deno.env.get("PORT")) }, handler);
