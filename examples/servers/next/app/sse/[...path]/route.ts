import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";

const hub = createHub();
const authorize = createAuthorize({ tokens: readTokens(process.env.SSE_TOKENS ?? "[]") });
const handler = createHandler({ hub, authorize, basePath: "/sse" });

export { handler as GET, handler as POST };
