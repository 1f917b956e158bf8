import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { toNodeListener } from "@sse/http/node";
import { createHub } from "@sse/hub";
import express from "express";

const authorize = createAuthorize({ tokens: readTokens(process.env["SSE_TOKENS"]!) });
const handler = createHandler({ hub: createHub(), authorize });

const app = express();
app.use("/sse", toNodeListener(handler));

app.listen(process.env["PORT"]);
