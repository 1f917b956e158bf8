import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";
import { H3, serve } from "h3";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const handler = createHandler({ hub, authorize, basePath: "/sse" });

const app = new H3();
app.all("/sse/**", (event) => handler(event.req));

serve(app, { port: Number(process.env.PORT ?? 3000) });
