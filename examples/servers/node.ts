import { createServer } from "node:http";
import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub } from "@sse/hub";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const handler = createHandler({ hub, authorize });

createServer(toNodeListener(handler)).listen(process.env.PORT ?? 3000);
