import { sse } from "@sse/elysia";
import { createAuthorize, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";
import { Elysia } from "elysia";

const authorize = createAuthorize({ tokens: readTokens(process.env["SSE_TOKENS"]!) });

new Elysia().use(sse({ hub: createHub(), authorize })).listen(process.env["PORT"]!);
