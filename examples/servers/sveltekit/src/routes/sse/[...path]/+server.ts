import { createAuthorize, createHandler, readTokens } from "@sse/http";
import { createHub } from "@sse/hub";

const authorize = createAuthorize({ tokens: readTokens(process.env["SSE_TOKENS"] ?? "[]") });
const handler = createHandler({ hub: createHub(), authorize, basePath: "/sse" });

export const fallback = ({ request }: { request: Request }) => handler(request);
