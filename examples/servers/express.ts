import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub } from "@sse/hub";
import express from "express";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const handler = createHandler({ hub, authorize });

const app = express();
app.use("/sse", toNodeListener(handler));

app.listen(process.env.PORT ?? 3000);
